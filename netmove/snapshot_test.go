package netmove

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestMACText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]MAC{
		"": nil, "02:00:00:00:00:0a": {2, 0, 0, 0, 0, 10}, "7f:00:00:01": {127, 0, 0, 1},
	} {
		got := MAC{1}
		if err := got.UnmarshalText([]byte(text)); err != nil || !got.Equal(want) || (got == nil) != (want == nil) {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
		if written, err := want.MarshalText(); err != nil || string(written) != text {
			t.Errorf("%v is written as %q, %v", want, written, err)
		}
	}
	for _, text := range []string{"02:0", "2:00", "02:0g", "02:00:", "02 00", "002:01"} {
		var got MAC
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "want hexadecimal bytes") {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
	}
}

func TestBootOffsetText(t *testing.T) {
	t.Parallel()
	var got BootOffset
	if err := got.UnmarshalText([]byte("1m2s")); err != nil || got != BootOffset(62*time.Second) {
		t.Errorf("read %v, %v", got, err)
	}
	if err := got.UnmarshalText([]byte("soon")); err == nil {
		t.Error("soon was taken for a time")
	}
}

func TestRawValueText(t *testing.T) {
	t.Parallel()
	var v RawValue
	if err := v.UnmarshalText([]byte("0aff")); err != nil || v.String() != "0aff" {
		t.Errorf("read %v, %v", v, err)
	}
	if err := v.UnmarshalText([]byte("0a0")); err == nil || !strings.Contains(err.Error(), `value "0a0"`) {
		t.Errorf("half a byte: %v", err)
	}
}

func TestLinkFlagsText(t *testing.T) {
	t.Parallel()
	all := LinkFlags{
		Up: true, NoARP: true, Promisc: true, AllMulti: true, Multicast: true,
		Debug: true, NoTrailers: true, Dynamic: true, PortSel: true, AutoMedia: true,
	}
	if got, want := all.String(), "up noarp promisc allmulti multicast debug notrailers dynamic portsel automedia"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := (LinkFlags{Promisc: true}).String(); got != "promisc" {
		t.Errorf("%q", got)
	}
}

// A device that is left down keeps what a master has of it, and nothing that needs it to be up.
func TestLeftDown(t *testing.T) {
	t.Parallel()
	port, own := Entry{Text: "port", Port: true}, Entry{Text: "own"}
	s := Snapshot{
		Name: "eth1", Flags: LinkFlags{Up: true, Promisc: true}, Addresses: []Address{address("192.0.2.1/24")},
		Entries: []Entry{own, port, own}, OthersRoutes: []OthersRoute{{}},
	}
	got := s.LeftDown()
	if got.Flags.Up || !got.Flags.Promisc || got.Addresses != nil || got.OthersRoutes != nil || got.Name != "eth1" {
		t.Errorf("left down it is %+v", got)
	}
	if len(got.Entries) != 1 || got.Entries[0].Text != "port" {
		t.Errorf("entries are %v", got.Entries)
	}
	if len(s.Entries) != 3 || s.Entries[0].Text != "own" {
		t.Errorf("the snapshot itself has %v now", s.Entries)
	}
}

// The facts by which a device is told.
func TestIdentity(t *testing.T) {
	t.Parallel()
	id := Identity{Inode: 7, Kind: "veth", Parent: "0000:02:00.0", Bus: "pci", PCI: "0000:09:00.0", Index: 3, Driver: "e1000"}
	moved := id
	moved.Index, moved.Netns = 9, 4
	if !id.Same(moved) {
		t.Error("a device that has moved is another one")
	}
	for _, edit := range []func(*Identity){
		func(i *Identity) { i.Inode = 8 }, func(i *Identity) { i.Kind = "tun" }, func(i *Identity) { i.Parent = "" },
	} {
		other := id
		if edit(&other); id.Same(other) {
			t.Errorf("%+v is taken for it", other)
		}
	}
	virtio := Identity{Kind: "veth", Parent: "virtio0", Bus: "virtio", PCI: "0000:09:00.0"}
	if id.PCIAddress() != "0000:02:00.0" || virtio.PCIAddress() != "0000:09:00.0" {
		t.Errorf("PCI addresses are %q and %q", id.PCIAddress(), virtio.PCIAddress())
	}
	if id.DriverName() != "e1000" || virtio.DriverName() != "veth" {
		t.Errorf("drivers are %q and %q", id.DriverName(), virtio.DriverName())
	}
	if name := (Identity{Inode: 37}).RecognisableName(); name != "nd11" {
		t.Errorf("recognized by %q", name)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	mac, perm := MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2}
	dev := Snapshot{MAC: mac, Identity: Identity{PermMAC: perm, Parent: "0000:02:00.0", Bus: "pci", Driver: "e1000"}}
	virtual := Snapshot{MAC: mac, Identity: Identity{Kind: "dummy"}}
	for _, tc := range []struct {
		match        Match
		dev          Snapshot
		holds, zero  bool
		text, called string
	}{
		{Match{}, dev, true, true, `{}`, `device "eth1"`},
		{Match{MAC: perm}, dev, true, false, `{mac: "02:00:00:00:00:02"}`, `match {mac: "02:00:00:00:00:02"}`},
		{Match{MAC: mac}, dev, false, false, `{mac: "02:00:00:00:00:01"}`, `match {mac: "02:00:00:00:00:01"}`},
		{Match{MAC: mac}, virtual, true, false, `{mac: "02:00:00:00:00:01"}`, `match {mac: "02:00:00:00:00:01"}`},
		{Match{PCIAddress: "0000:02:00.0", Driver: "e1000"}, dev, true, false, `{pciAddress: "0000:02:00.0", driver: "e1000"}`, `match {pciAddress: "0000:02:00.0", driver: "e1000"}`},
		{Match{PCIAddress: "0000:02:00.1"}, dev, false, false, `{pciAddress: "0000:02:00.1"}`, `match {pciAddress: "0000:02:00.1"}`},
		{Match{Driver: "dummy"}, dev, false, false, `{driver: "dummy"}`, `match {driver: "dummy"}`},
		{Match{Driver: "dummy"}, virtual, true, false, `{driver: "dummy"}`, `match {driver: "dummy"}`},
	} {
		m := tc.match
		if m.Holds(tc.dev) != tc.holds || m.IsZero() != tc.zero || m.String() != tc.text {
			t.Errorf("%s: holds: %v, zero: %v", m, m.Holds(tc.dev), m.IsZero())
		}
		if got := (Request{Device: "eth1", Match: m}).String(); got != tc.called {
			t.Errorf("called %s, want %s", got, tc.called)
		}
	}
	if got := (Request{Device: "eth1", Pool: "fast", Match: Match{Driver: "x"}}).String(); got != `pool "fast"` {
		t.Errorf("called %s", got)
	}
}

func TestRequestText(t *testing.T) {
	t.Parallel()
	prefix, ip := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParseAddr("10.0.0.1")
	for want, s := range map[string]interface{ String() string }{
		"10.0.0.0/8": RouteRequest{To: prefix},
		"10.0.0.0/8 via 10.0.0.1 src 10.0.0.1 metric 1 table 2 onlink": RouteRequest{To: prefix, Via: ip, Src: ip, Metric: 1, Table: 2, OnLink: true},
		"table 7": RuleRequest{Table: 7},
		"from 10.0.0.0/8 to 10.0.0.0/8 fwmark 0x10 priority 1 table 7": RuleRequest{From: prefix, To: prefix, FwMark: 16, Priority: 1, Table: 7},
		"10.0.0.1 lladdr 02:00":          NeighborRequest{IP: ip, MAC: MAC{2, 0}},
		"qdisc (tbf)":                    Loss{LossQdisc, "tbf"},
		"mtu: 1500, not 9000":            Difference{"mtu", "1500, not 9000"},
		"tcx egress program 8 of link 1": Program{Hook: TCXEgress, ID: 8, Link: 1},
		"tcx egress program 8":           Program{Hook: TCXEgress, ID: 8},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Losses([]Loss{{LossQdisc, "tbf"}, {LossNFT, "x"}}); got != "qdisc (tbf) and nft (x)" {
		t.Errorf("losses are %q", got)
	}
	if kinds := LossKinds(); len(kinds) != 9 {
		t.Errorf("losses are %v", kinds)
	}
}

// A record that cannot be read is an error, and no device without a name.
func TestUnreadableSnapshot(t *testing.T) {
	t.Parallel()
	var s Snapshot
	if err := json.Unmarshal([]byte(`{"mtu":"x"}`), &s); err == nil {
		t.Errorf("read %+v", s)
	}
	if got, ok := (Snapshot{Options: []Option{{Name: "a"}, {Name: "b", Value: RawValue{1}}}}).option("b"); !ok || got.Value.String() != "01" {
		t.Errorf("the option is %v, %v", got, ok)
	}
}

func TestOptionParts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		link, state, shared bool
		group               string
	}{
		"gso_max_size":    {true, false, false, ""},
		"link_type":       {false, false, false, ""}, // before all others
		"token":           {false, true, false, ""},
		"vxlan.9":         {false, true, false, "vxlan"},
		"ipvlan.1":        {false, true, true, "ipvlan"},
		"ipvtap.1":        {false, true, true, "ipvtap"},
		"ethtool.rings.5": {false, true, false, "ethtool.rings"},
	} {
		o := Option{Name: name}
		if o.ofLink() != tc.link || o.ofState() != tc.state || o.shared() != tc.shared || o.group() != tc.group {
			t.Errorf("%s: of the link: %v, of the state: %v, shared: %v, group %q", name, o.ofLink(), o.ofState(), o.shared(), o.group())
		}
	}
}
