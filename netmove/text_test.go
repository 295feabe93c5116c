package netmove_test

import (
	"encoding/json"
	"testing"

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
