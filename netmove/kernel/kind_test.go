package kernel

import (
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A device whose state is not known, or cannot be put back, says so.
func TestUnrestorable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dev  netmove.Snapshot
		want bool
	}{
		"hardware":             {netmove.Snapshot{Identity: netmove.Identity{Parent: "0000:01:00.0"}}, false},
		"of an unknown driver": {netmove.Snapshot{}, true},
		"of an unknown kind":   {netmove.Snapshot{Identity: netmove.Identity{Kind: "gtp", Parent: "gtp0"}}, true},
		"macsec":               {netmove.Snapshot{Identity: netmove.Identity{Kind: "macsec"}}, true},
		"passthru":             {macvlanIn(nl.MACVLAN_MODE_PASSTHRU), true},
		"macvlan":              {macvlanIn(nl.MACVLAN_MODE_BRIDGE), false},
		"tunnel":               {netmove.Snapshot{Identity: netmove.Identity{Kind: "sit"}}, false},
	} {
		if got := unrestorable(c.dev); (len(got) > 0) != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func macvlanIn(mode uint32) netmove.Snapshot {
	return netmove.Snapshot{Identity: netmove.Identity{Kind: "macvlan"}, Options: []netmove.Option{{Name: "macvlan.1", Value: number(mode)}}}
}

// A kind is in the table once, and so is each of its attributes.
func TestKindTable(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, k := range kinds() {
		if names[k.name] {
			t.Errorf("kind %q twice", k.name)
		}
		names[k.name] = true
		types := map[uint16]bool{}
		for _, o := range k.rows() {
			if types[o.typ] || o.typ == allOfKind {
				t.Errorf("attribute %d of %q", o.typ, k.name)
			}
			types[o.typ] = true
		}
	}
}
