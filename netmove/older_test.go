package netmove_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A record of an older version does not know all of what there is now: the device comes home
// without an error, and nothing goes that the record could not have.
func TestReturnOfAnOlderRecord(t *testing.T) {
	f := newFixture()
	f.host.Add(netmove.Snapshot{
		Name: "vx0", MTU: 1450, Identity: netmove.Identity{Kind: "vxlan"},
		Flags:    netmove.LinkFlags{Up: true, Multicast: true, Debug: true},
		Entries:  []netmove.Entry{{Table: netmove.TableVXLAN, Text: "flood", Message: []byte("flood")}},
		Options:  []netmove.Option{{Name: "vxlan.5", Value: netmove.RawValue{1}}},
		Programs: []netmove.Program{{Hook: netmove.TunQueue, ID: 1}},
	})
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "vx0"})
	old := &plan[0].Before
	old.Parts, old.Flags.Debug, old.Programs = 0, false, nil
	old.Entries = []netmove.Entry{{Table: netmove.TableFDB, Text: "flood", Message: []byte("fdb")}}
	old.Options = append(old.Options, netmove.Option{Name: "vxlan.77", Value: netmove.RawValue{1}})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}
