package netmove_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// withOthersRoute attaches eth1, which takes a route of eth2's along, and returns the world
// as it was before.
func (f *fixture) withOthersRoute(t *testing.T) (before string, plan netmove.Plan, eth2 netmove.Snapshot) {
	t.Helper()
	eth2, err := f.host.ByName("eth2")
	if err != nil {
		t.Fatal(err)
	}
	route := netmove.Entry{Table: netmove.TableRoute, Text: "10.0.0.0/8", Message: []byte("10.0.0.0/8")}
	if err := f.host.PutEntry(eth2.Identity.Index, route); err != nil {
		t.Fatal(err)
	}
	before = f.String()
	plan = f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	plan[0].Before.OthersRoutes = []netmove.OthersRoute{{Entry: route, Through: []netmove.Identity{eth2.Identity}}}
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	if err := f.host.DropEntry(eth2.Identity.Index, route); err != nil {
		t.Fatal(err)
	}
	return before, plan, eth2
}

// A route of another device is put back, once, and only if its device is there.
func TestRouteOfOthers(t *testing.T) {
	f := newFixture()
	before, plan, _ := f.withOthersRoute(t)
	for range 2 {
		f.returnAll(t, plan)
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("the world differs (-want +got):\n%s", diff)
		}
	}
}

// One whose device is gone is no difference.
func TestRouteOfOthersWithoutDevice(t *testing.T) {
	f := newFixture()
	_, plan, eth2 := f.withOthersRoute(t)
	if err := f.host.Delete(eth2.Identity.Index); err != nil {
		t.Fatal(err)
	}
	f.returnAll(t, plan)
}

// One that the kernel does not take is a difference that can be tried again.
func TestRouteOfOthersRefused(t *testing.T) {
	f := newFixture()
	_, plan, _ := f.withOthersRoute(t)
	f.Fail(0, netmovetest.Before)
	f.returnAll(t, plan)
	requests := f.Calls() // the last one is that which puts it back
	f = newFixture()
	before, plan, _ := f.withOthersRoute(t)
	f.Fail(requests, netmovetest.Before)
	err := f.mover.Return(f.pod, &plan[0])
	var minor *netmove.MinorError
	if !errors.Is(err, netmove.ErrDiffers) || !errors.As(err, &minor) || !strings.Contains(err.Error(), "add 10.0.0.0/8: injected") {
		t.Errorf("error is %v", err)
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}
