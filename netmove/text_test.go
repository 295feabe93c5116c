package netmove_test

import (
	"encoding/json"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nri-netdev/nri-netdev/netmove"
)

func TestText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       `""`,
		"rack7":                  `"rack7"`,
		"größe \"7\"\\xff\nnext": `"größe \"7\"\\xff\nnext"`,
		"\ufffd":                 `"` + "\ufffd" + `"`,
		"a\xff\"\\\x00é":         `{"escaped":"a\\xff\\\"\\\\\\x00\\u00e9"}`,
		"\xc3":                   `{"escaped":"\\xc3"}`,
	} {
		written, err := json.Marshal(netmove.Text(text))
		if err != nil || string(written) != want {
			t.Errorf("%q is written as %s (%v), want %s", text, written, err, want)
		}
		sameAfterJSON(t, text)
	}
}

func sameAfterJSON(t *testing.T, text string) {
	t.Helper()
	type record struct {
		Alias netmove.Text   `json:"alias,omitempty"`
		Names []netmove.Text `json:"names"`
	}
	written, err := json.Marshal(record{netmove.Text(text), []netmove.Text{netmove.Text(text), "eth1"}})
	if err != nil {
		t.Fatal(err)
	}
	var read record
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	if string(read.Alias) != text || string(read.Names[0]) != text || read.Names[1] != "eth1" {
		t.Errorf("%q is read as %q from %s", text, read, written)
	}
}

// Every byte there is, and a record of an older program.
func TestTextBytes(t *testing.T) {
	t.Parallel()
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
		sameAfterJSON(t, string([]byte{byte(b)}))
	}
	sameAfterJSON(t, string(all))
	var old netmove.Text
	if err := json.Unmarshal([]byte(`"{\"escaped\": \"\\xff\"}"`), &old); err != nil || old != `{"escaped": "\xff"}` {
		t.Errorf("a string is read as %q, %v", old, err)
	}
}

func TestTextUnreadable(t *testing.T) {
	t.Parallel()
	for _, written := range []string{`5`, `{"escaped":"\\x"}`, `{"escaped":"a\"b"}`, `["a"]`} {
		var text netmove.Text
		if err := json.Unmarshal([]byte(written), &text); err == nil {
			t.Errorf("%s is read as %q", written, text)
		}
	}
}

// What a record keeps of a device is what the kernel had, byte for byte.
func TestSnapshotKeepsBytes(t *testing.T) {
	t.Parallel()
	odd := permanent("192.0.2.1/24", func(a *netmove.Address) { a.Label = "eth\xfe:1" })
	want := netmove.Snapshot{
		Name: "eth\xff", Altnames: []string{"alt\xc3", "plain"}, Alias: "B\xfcro", MTU: 1500, Parts: netmove.AllParts,
		Addresses: []netmove.Address{odd}, Uppers: []netmove.Snapshot{{Name: "up\xff", Alias: "ok"}},
	}
	written, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got netmove.Snapshot
	if err := json.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
		t.Errorf("after %s (-want +got):\n%s", written, diff)
	}
}

// A record of an older version, whose text was strings, and which names no parts.
func TestOlderSnapshot(t *testing.T) {
	t.Parallel()
	var got netmove.Snapshot
	const written = `{"identity":{"inode":7,"index":3},"name":"eth1","altnames":["enp2s0"],"alias":"rack 3","mtu":1500,"txQueueLen":0,"flags":{"up":true,"multicast":false},"takenAt":"1s"}`
	if err := json.Unmarshal([]byte(written), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "eth1" || got.Alias != "rack 3" || len(got.Altnames) != 1 || got.Altnames[0] != "enp2s0" || got.MTU != 1500 || got.Parts != 0 {
		t.Errorf("read %+v", got)
	}
}

// Parts have names in a record, and one that is not known is refused.
func TestParts(t *testing.T) {
	t.Parallel()
	text, err := netmove.AllParts.MarshalText()
	if want := "link addresses entries options sysctls tunfile"; err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
	var p netmove.Parts
	if err := p.UnmarshalText(text); err != nil || p != netmove.AllParts {
		t.Errorf("read %v, %v", p, err)
	}
	if err := p.UnmarshalText([]byte("link wheels")); err == nil {
		t.Error("a part that is not known was taken")
	}
}
