package netmove

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A device is set down once for a change that a driver refuses of one that is up.
func TestOrDown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		first        error // the answer to the change
		up           error // the answer to setting it down
		isUp, downed bool
		asked, want  string
		tries        int
	}{
		"done":              {isUp: true, tries: 1},
		"refused":           {first: ErrExists, isUp: true, tries: 1, want: ErrExists.Error()},
		"busy":              {first: ErrBusy, isUp: true, tries: 2, asked: "up false"},
		"busy and down":     {first: ErrBusy, tries: 1, want: ErrBusy.Error()},
		"busy once more":    {first: ErrBusy, isUp: true, downed: true, tries: 1, want: ErrBusy.Error()},
		"busy and stays up": {first: ErrBusy, up: ErrExists, isUp: true, tries: 1, asked: "up false", want: ErrExists.Error()},
	} {
		host := &answers{to: map[string]error{"up": tc.up}}
		tries := 0
		do := func() error {
			if tries++; tries == 1 {
				return tc.first
			}
			return nil
		}
		a := &Attachment{Downed: tc.downed}
		steps := (&Mover{Host: host}).orDown(Snapshot{Flags: LinkFlags{Up: tc.isUp}}, a, []step{{do: do, down: true}})
		err := steps[0].do()
		if errorText(err) != tc.want || tries != tc.tries || host.log() != tc.asked || a.Downed != (tc.downed || tc.asked != "") {
			t.Errorf("%s: %d tries, asked for %s: %v", name, tries, host.log(), err)
		}
	}
}

// A device that is not to be used is down, or it is told that it could not be set down.
func TestSeal(t *testing.T) {
	t.Parallel()
	host := &answers{to: map[string]error{"up": ErrBusy}}
	m := &Mover{Host: host}
	if err := m.seal(Snapshot{}); err != nil || host.log() != "" {
		t.Errorf("asked for %s: %v", host.log(), err)
	}
	if err := m.seal(Snapshot{Flags: LinkFlags{Up: true}}); errorText(err) != ErrBusy.Error() || host.log() != "up false" {
		t.Errorf("asked for %s: %v", host.log(), err)
	}
}

// A reset starts the driver, and leaves the device down.
func TestReset(t *testing.T) {
	t.Parallel()
	host := &answers{}
	if err := (&Mover{Host: host}).reset(3); err != nil || host.log() != "up true, up false" {
		t.Errorf("asked for %s: %v", host.log(), err)
	}
}

// An address that went with another one is no error.
func TestDropAddress(t *testing.T) {
	t.Parallel()
	for answer, want := range map[error]string{nil: "", ErrNotFound: "", ErrBusy: ErrBusy.Error()} {
		host := &answers{to: map[string]error{"drop address": answer}}
		if err := dropAddress(host, 3, address("192.0.2.1/24")); errorText(err) != want {
			t.Errorf("%v is told as %v", answer, err)
		}
	}
}

// What the kernel makes by itself is not put back.
func TestAddressesAfter(t *testing.T) {
	t.Parallel()
	s := Snapshot{Addresses: []Address{
		address("fe80::1/64", protocol(3)), address("192.0.2.1/24"), address("192.0.2.2/24", lasting(1, 1)),
	}}
	var got []netip.Prefix
	for _, a := range s.addressesAfter(1e9) {
		got = append(got, a.Local)
	}
	if len(got) != 1 || got[0] != netip.MustParsePrefix("192.0.2.1/24") {
		t.Errorf("put back are %v", got)
	}
}

// Of an older record only those entries and options are left out that have another form now.
func TestCompareWithOlder(t *testing.T) {
	t.Parallel()
	fdb, neighbor := Entry{Table: TableFDB, Text: "fdb"}, Entry{Table: TableNeighbor, Text: "neighbor"}
	whole := []string{"add fdb fdb", "add neighbor neighbor", "set option a", "set option b"}
	for name, tc := range map[string]struct {
		parts Parts
		kind  string
		want  []string
	}{
		"now":             {AllParts, "vxlan", whole},
		"older":           {0, "vxlan", []string{"add neighbor neighbor", "set option a"}},
		"older, no vxlan": {0, "vlan", []string{"add fdb fdb", "add neighbor neighbor", "set option a"}},
	} {
		want := Snapshot{Parts: tc.parts, Entries: []Entry{fdb, neighbor}, Options: []Option{{Name: "a"}, {Name: "b"}}}
		dev := Snapshot{Parts: AllParts, Identity: Identity{Kind: tc.kind}, Options: []Option{{Name: "a", Value: RawValue{1}}}}
		var got []string
		for _, s := range append(compareEntries(nil, dev, want, 0), compareOptions(nil, dev, want)...) {
			got = append(got, s.what)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What cannot be removed of what is built on a device is told by name.
func TestUnstackFound(t *testing.T) {
	t.Parallel()
	theirs := Upper{Snapshot: Snapshot{Name: "mac1", Identity: Identity{Inode: 7}}}
	for name, tc := range map[string]struct {
		to          map[string]error
		asked, want string
	}{
		"removed":  {nil, "stacked, unstack mac1", ""},
		"gone":     {map[string]error{"unstack": ErrNotFound}, "stacked, unstack mac1", ""},
		"refused":  {map[string]error{"unstack": ErrBusy}, "stacked, unstack mac1", `remove "mac1", which the pod built on it: ` + ErrBusy.Error()},
		"not seen": {map[string]error{"stacked": ErrBusy}, "stacked", "look for devices on it: " + ErrBusy.Error()},
	} {
		pod := &answers{stacked: []Upper{theirs}, to: tc.to}
		m := &Mover{Host: &answers{}, Log: slog.New(slog.DiscardHandler)}
		_, err := m.unstackFound(pod, Snapshot{Below: 2, Identity: Identity{Kind: "vlan"}}, Snapshot{})
		if errorText(err) != tc.want || pod.log() != tc.asked {
			t.Errorf("%s: asked for %s: %v", name, pod.log(), err)
		}
	}
	pod := &answers{stacked: []Upper{theirs}, to: map[string]error{"stacked": ErrBusy}}
	if _, err := (&Mover{}).built(pod, Snapshot{Below: 2, Identity: Identity{Kind: "macvlan"}}); err == nil || pod.log() != "stacked" {
		t.Errorf("asked for %s: %v", pod.log(), err)
	}
}

// Addresses of the snapshot are put anew, in its order, and those of the host's stay.
func TestCompareAddresses(t *testing.T) {
	t.Parallel()
	a, b, theirs := address("192.0.2.1/24"), address("192.0.2.2/24"), address("192.0.2.3/24")
	for name, tc := range map[string]struct {
		dev  []Address
		want []string
	}{
		"as they were":   {[]Address{a, b, address("fe80::1/64", protocol(3))}, nil},
		"and the host's": {[]Address{a, theirs, b}, nil},
		"another order":  {[]Address{b, theirs, a}, []string{"drop address 192.0.2.2/24", "drop address 192.0.2.1/24", "add address 192.0.2.1/24", "add address 192.0.2.2/24"}},
		"none":           {nil, []string{"add address 192.0.2.1/24", "add address 192.0.2.2/24"}},
	} {
		host := &answers{to: map[string]error{"drop address": ErrBusy}}
		var got []string
		for _, s := range compareAddresses(host, Snapshot{Addresses: tc.dev}, Snapshot{Addresses: []Address{a, b}}, 0) {
			got = append(got, s.what)
			if strings.HasPrefix(s.what, "drop") && errorText(s.do()) != ErrBusy.Error() {
				t.Errorf("%s: the answer of the kernel is lost", name)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What drivers refuse of a device that is up.
func TestMayWantDown(t *testing.T) {
	t.Parallel()
	want := Snapshot{
		Parts: AllParts, Name: "x", Alias: "x", MAC: MAC{2}, MTU: 1500, TxQueueLen: 1, Group: 1, Flags: LinkFlags{Promisc: true}, Master: Identity{Index: 4},
		Options: []Option{{Name: LinkType}, {Name: "gso_max_size"}},
	}
	down := map[string]bool{"option link_type": true, "mac": true, "mtu": true, "master": true}
	steps := (&Mover{}).compareLink(Snapshot{}, want)
	for _, s := range steps {
		if s.down != down[s.attribute] {
			t.Errorf("%s may want the device to be down: %v", s.what, s.down)
		}
	}
	if len(steps) != 10 {
		t.Errorf("%d steps", len(steps))
	}
}

// What the pod has built goes before the device does, and the host's stays.
func TestStrip(t *testing.T) {
	t.Parallel()
	own, theirs := Snapshot{Name: "own", Identity: Identity{Inode: 7, Index: 7}}, Snapshot{Name: "mac1", Identity: Identity{Inode: 8, Index: 8}}
	for name, tc := range map[string]struct {
		to          map[string]error
		asked, want string
	}{
		"removed":  {nil, "uppers, delete 8", ""},
		"gone":     {map[string]error{"delete": ErrNotFound}, "uppers, delete 8", ""},
		"refused":  {map[string]error{"delete": ErrBusy}, "uppers, delete 8", `remove "mac1", which the pod built on it: ` + ErrBusy.Error()},
		"not seen": {map[string]error{"uppers": ErrBusy}, "uppers", "look for devices on it: " + ErrBusy.Error()},
	} {
		pod := &answers{uppers: []Snapshot{own, theirs}, to: tc.to}
		err := strip(pod, Snapshot{}, Snapshot{Uppers: []Snapshot{own}})
		if errorText(err) != tc.want || pod.log() != tc.asked {
			t.Errorf("%s: asked for %s: %v", name, pod.log(), err)
		}
	}
}

// A rule that the pod has got meanwhile is told with what to do.
func TestTakenInThePod(t *testing.T) {
	t.Parallel()
	a := &Attachment{Request: Request{Rules: []RuleRequest{{Table: 7}}}}
	for answer, want := range map[error]string{
		nil: "", ErrBusy: ErrBusy.Error(), ErrExists: ErrExists.Error() + " in the pod: choose another metric, priority or table",
	} {
		steps := a.tableSteps(&answers{to: map[string]error{"rule": answer}})
		if got := errorText(steps[0].do()); got != want {
			t.Errorf("%v is told as %q", answer, got)
		}
	}
}
