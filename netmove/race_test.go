package netmove_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// withMacvlan has a macvlan on eth2, and tells what is below it.
func (f *fixture) withMacvlan(t *testing.T) (below int) {
	t.Helper()
	eth2, err := f.host.ByName("eth2")
	if err != nil {
		t.Fatal(err)
	}
	f.host.AddUpper(f.host, eth2.Identity.Index, macvlan("mac0"))
	return eth2.Identity.Index
}

func macvlan(name string) netmove.Snapshot {
	return netmove.Snapshot{Name: name, MTU: 1500, Identity: netmove.Identity{Kind: "macvlan"}}
}

// Every request about a device that shares the one below fails once, on its way there and back.
func TestSiblingsFailAtEveryStep(t *testing.T) {
	for _, back := range []bool{false, true} {
		for n := 1; ; n++ {
			f := newFixture()
			f.withMacvlan(t)
			before := f.String()
			plan := f.mustPlan(t, netmove.Request{Device: "mac0", PodName: "net1"})
			if back {
				if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
					t.Fatal(err)
				}
			}
			f.Fail(n, netmovetest.Before)
			var err error
			if back {
				err = f.mover.Return(f.pod, &plan[0])
			} else {
				err = f.mover.Attach(t.Context(), f.pod, plan)
			}
			failed := f.Calls() >= n
			f.Fail(0, netmovetest.Never)
			if failed && !errors.Is(err, netmovetest.ErrInjected) && f.String() != before {
				t.Errorf("step %d failed (back: %v): error is %v", n, back, err)
			}
			f.returnAll(t, plan)
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d failed (back: %v): the world differs (-want +got):\n%s", n, back, diff)
			}
			if !failed {
				break
			}
		}
	}
}

// away is a device on eth2 in a namespace that the pod does not know yet.
func (f *fixture) away(name string, on *netmovetest.Namespace, index int) *netmovetest.Namespace {
	ns := f.AddNamespace(name)
	ns.AddUpper(on, index, netmove.Snapshot{Name: name})
	return ns
}

// What comes into sight while the device comes home is found, until there is nothing twice in
// a row.
func TestStackedBetweenLooks(t *testing.T) {
	const secondLook = 8
	for n := 1; n <= secondLook; n++ {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		first, second := f.away("up0", f.pod, plan[0].PodIndex), f.away("up1", f.pod, plan[0].PodIndex)
		f.Interrupt(n, func() {
			f.pod.Knows(first)
			f.Interrupt(secondLook-n+3, func() { f.pod.Knows(second) }) // after one that is clean
		})
		f.returnAll(t, plan)
		if w := f.String(); strings.Contains(w, "has up0 on it") || n == secondLook && strings.Contains(w, "has up1 on it") {
			t.Errorf("step %d: something is left:\n%s", n, f)
		}
	}
}

// A pod that goes on for long has its way, and is told on.
func TestStackedFasterThanRemoved(t *testing.T) {
	f := newFixture()
	plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	looks := 0
	var again func()
	again = func() {
		looks++
		f.pod.Knows(f.away(fmt.Sprint("up", looks), f.host, plan[0].Before.Identity.Index))
		f.Interrupt(2, again)
	}
	f.Interrupt(7, again)
	err := f.mover.Return(f.pod, &plan[0])
	if want := `return "eth2": devices on it are moved about faster than they can be removed`; text(err) != want || looks != 32 {
		t.Errorf("after %d looks the error is %v", looks, err)
	}
	f.Interrupt(0, nil)
	f.returnAll(t, plan)
	if strings.Contains(f.String(), "eth2 has") {
		t.Errorf("something is left:\n%s", f)
	}
}

// Routes of several other devices are put back on the first of them.
func TestRouteOfSeveralOthers(t *testing.T) {
	f := newFixture()
	before, plan, eth2 := f.withOthersRoute(t)
	eth3, err := f.host.ByName("eth3")
	if err != nil {
		t.Fatal(err)
	}
	route := &plan[0].Before.OthersRoutes[0]
	route.Through = append(route.Through, eth3.Identity)
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if err := f.host.DropEntry(eth2.Identity.Index, route.Entry); err != nil {
		t.Fatal(err)
	}
	f.Fail(0, netmovetest.Never)
	f.returnAll(t, plan)
	last := f.Calls() // it puts the route back, after the look at each of the devices
	for n := last - 2; n < last; n++ {
		if err := f.host.DropEntry(eth2.Identity.Index, route.Entry); err != nil {
			t.Fatal(err)
		}
		f.Fail(n, netmovetest.Before)
		if err := f.mover.Return(f.pod, &plan[0]); !strings.Contains(text(err), "add 10.0.0.0/8: look at the device: injected") {
			t.Errorf("step %d of %d: error is %v", n, last, err)
		}
		f.returnAll(t, plan)
	}
}

// A group that a device above listens to is asked for again of the one below, but not while
// one of them is down or that one filters nothing.
func TestGroupsOfUppers(t *testing.T) {
	for _, tc := range []struct {
		kind                string
		up, below, expected bool
	}{{"", true, true, true}, {"", false, false, false}, {"", true, false, false}, {"", false, true, false}, {"vxlan", true, true, false}} {
		f := newFixture()
		lower := f.host.Add(netmove.Snapshot{Name: "low0", MTU: 1500, Flags: netmove.LinkFlags{Up: tc.below}, Identity: netmove.Identity{Kind: tc.kind}})
		upper := f.host.AddUpper(f.host, lower.Identity.Index, netmove.Snapshot{Name: "up0", MTU: 1500, Flags: netmove.LinkFlags{Up: tc.up}})
		f.host.Listen(upper.Identity.Index, group())
		plan := f.mustPlan(t, netmove.Request{Device: "low0"})
		f.returnAll(t, plan) // it is home
		if got := strings.Contains(f.String(), "fdb 33:33:00:00:00:05"); got != tc.expected {
			t.Errorf("%+v: it listens: %v", tc, got)
		}
	}
}

func group() netmove.Entry {
	return netmove.Entry{Table: netmove.TableFDB, Text: "33:33:00:00:00:05", Message: []byte("group")}
}

// Groups that could not be read are not asked for, and that is told.
func TestGroupsNotRead(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture()
		lower := f.host.Add(netmove.Snapshot{Name: "low0", MTU: 1500, Flags: netmove.LinkFlags{Up: true}})
		upper := f.host.AddUpper(f.host, lower.Identity.Index, netmove.Snapshot{Name: "up0", MTU: 1500, Flags: netmove.LinkFlags{Up: true}})
		f.host.Listen(lower.Identity.Index, group())
		f.host.Listen(upper.Identity.Index, group())
		plan := f.mustPlan(t, netmove.Request{Device: "low0"})
		f.Fail(n, netmovetest.Before)
		err := f.mover.Return(f.pod, &plan[0])
		if f.Calls() < n {
			break
		}
		if !errors.Is(err, netmovetest.ErrInjected) || strings.Contains(f.String(), "fdb 33:33:00:00:00:05") {
			t.Errorf("step %d: error is %v:\n%s", n, err, f)
		}
	}
}

// What is refused once of a device above is put back at the next pass.
func TestMendingIsTriedAgain(t *testing.T) {
	refused := 0
	for n := 1; ; n++ {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
		if err := f.host.SetMTU(5, 1450); err != nil {
			t.Fatal(err)
		}
		f.Fail(n, netmovetest.Before)
		err := f.mover.Return(f.pod, &plan[0])
		if f.Calls() < n {
			break
		}
		if err == nil {
			refused++
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d (-want +got):\n%s", n, diff)
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d requests may fail, want that which sets the MTU", refused)
	}
}

// What a tap tells only who attaches to it is read for a plan that policy allows, and what
// policy has seen of it stays.
func TestTunFileIsReadLate(t *testing.T) {
	f := newFixture()
	tap := f.host.Add(netmove.Snapshot{
		Name: "tap0", MTU: 1500, Identity: netmove.Identity{Kind: "tun"},
		Options: []netmove.Option{{Name: "tunfile.sndbuf", Value: netmove.RawValue{1}}},
	})
	dev, err := netmove.Read(f.host, "tap0")
	if err != nil || !dev.Options[0].Unknown {
		t.Fatalf("read %+v, %v", dev.Options, err)
	}
	request := []netmove.Request{{Device: "tap0"}}
	plan, err := netmove.NewPlan(request, []netmove.Device{dev})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]error{1: netmovetest.ErrInjected, 2: netmovetest.ErrInjected, 3: netmovetest.ErrInjected, 4: nil} {
		f.Fail(n, netmovetest.Before)
		if err := f.mover.Prepare(f.pod, plan); !errors.Is(err, want) {
			t.Errorf("request %d fails: error is %v", n, err)
		}
	}
	f.Fail(0, netmovetest.Never)
	f.host.AttachProgram(tap.Identity.Index, netmove.Program{Hook: netmove.TunQueue, ID: 1})
	if err := errors.Join(f.host.Rename(tap.Identity.Index, "tap9"), f.mover.Prepare(f.pod, plan)); err != nil {
		t.Fatal(err)
	}
	if o := plan[0].Before.Options; len(o) != 1 || o[0].Unknown || len(plan[0].Before.Programs) != 1 {
		t.Errorf("the plan has %+v and %v", o, plan[0].Before.Programs)
	}
	if err := f.mover.Attach(t.Context(), f.pod, plan); !strings.Contains(text(err), `it is "tap9" with ifindex`) {
		t.Errorf("error is %v", err)
	}
}

// Programs that the snapshot could not see are found before the pod is told that there are none.
func TestDetachedIsChecked(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth2", DetachBPF: true})
	index := plan[0].Before.Identity.Index
	f.host.AttachProgram(index, netmove.Program{Hook: netmove.TunQueue, ID: 1})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Error(err)
	}
	f.returnAll(t, plan)
	f.host.AttachProgram(index, netmove.Program{Hook: netmove.TCXIngress, ID: 66})
	err := f.mover.Attach(t.Context(), f.pod, plan)
	if want := `device "eth2": look for programs that are left: [tcx ingress program 66] could not be taken off`; text(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
	f.Blind(true)
	if err := f.mover.Attach(t.Context(), f.pod, plan); !errors.Is(err, netmove.ErrUnseen) {
		t.Errorf("error is %v", err)
	}
	f.Blind(false)
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// Where programs cannot be seen a device comes home all the same, and that is told.
func TestProgramsUnseen(t *testing.T) {
	f := newFixture()
	var log strings.Builder
	f.mover.Log = slog.New(slog.NewTextHandler(&log, nil))
	f.Blind(true)
	plan := f.mustPlan(t, netmove.Request{Device: "eth3"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	f.pod.AttachProgram(plan[0].PodIndex, netmove.Program{Hook: netmove.XDPGeneric, ID: 66})
	f.returnAll(t, plan)
	if dev, err := f.host.Programs(plan[0].Before); len(dev) != 1 || !errors.Is(err, netmove.ErrUnseen) {
		t.Errorf("at home it has %v, %v", dev, err)
	}
	if !strings.Contains(log.String(), "may still be on the device") || strings.Contains(log.String(), "is gone") {
		t.Errorf("the log has %s", log.String())
	}
}

// Addresses of the request's are there, and the host's refused ones nobody misses; what goes
// along and is refused is told.
func TestArrivalTells(t *testing.T) {
	f := newFixture()
	refused := permanent("2001:db8:7::1/64", func(a *netmove.Address) { a.Flags |= netmove.FlagDADFailed })
	f.host.Add(netmove.Snapshot{Name: "eth7", MTU: 1500, Addresses: []netmove.Address{refused}})
	plan := f.mustPlan(t, netmove.Request{Device: "eth7", Addresses: []netip.Prefix{}}, netmove.Request{Device: "eth1"})
	f.Stubborn(true)
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	if len(plan[0].Differences) > 0 {
		t.Errorf("told: %v", plan[0].Differences)
	}
	want := "[route: 10.0.0.0/8 via 192.0.2.254: operation not supported" +
		" route: 2001:db8:1::/48 via 2001:db8::fe: operation not supported neighbor: 192.0.2.9: operation not supported]"
	if got := fmt.Sprint(plan[1].Differences); got != want {
		t.Errorf("told: %s, want %s", got, want)
	}
}

// Each move is timed, once.
func TestMovesAreTimed(t *testing.T) {
	f := newFixture()
	moves := 0
	f.mover.Moved = func(time.Duration) { moves++ }
	plan := f.mustPlan(t, threeRequests()...)
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	if f.returnAll(t, plan); moves != 6 {
		t.Errorf("%d moves of three devices, there and back", moves)
	}
}

// The port of a master that is gone comes home without it, and with its index when that is
// another one.
func TestMasterOfAPort(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*fixture)
		want string
	}{
		"there":      {func(*fixture) {}, "master 3"},
		"renumbered": {func(f *fixture) { f.host.Remove("eth1.5.6"); f.host.Remove("eth1.5") }, "master 3"},
		"gone":       {func(f *fixture) { f.host.Remove("eth2") }, "master 0"},
	} {
		f := newFixture()
		master, err := f.host.ByName("eth2")
		if err != nil {
			t.Fatal(err)
		}
		f.host.Add(netmove.Snapshot{
			Name: "port0", MTU: 1500, Master: master.Identity,
			Options: []netmove.Option{{Name: "bridge_slave.cost", Value: netmove.RawValue{4}}, {Name: "gso_max_size", Value: netmove.RawValue{5}}},
			Entries: []netmove.Entry{{Table: netmove.TableVLAN, Text: "5", Message: []byte("5"), Port: true}},
		})
		plan := f.mustPlan(t, netmove.Request{Device: "port0"})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		tc.edit(f)
		if err := f.pod.SetOption(plan[0].PodIndex, netmove.Option{Name: "gso_max_size"}); err != nil {
			t.Fatal(err)
		}
		f.returnAll(t, plan)
		_, rest, _ := strings.Cut(f.String(), " port0 ")
		line, rest, _ := strings.Cut(rest, "\n")
		for part, there := range map[string]bool{"bridge_slave.cost 04": name != "gone", "vlan 5": name != "gone", "gso_max_size 05": true} {
			if strings.Contains(rest, part) != there {
				t.Errorf("%s: %s at home: %v", name, part, !there)
			}
		}
		if !strings.Contains(line, tc.want) {
			t.Errorf("%s: at home it is %s", name, line)
		}
	}
}

// A name that comes and goes at home while a device wants it, and altnames that are given away.
func TestNamesComeAndGo(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		done := true
		f.Interrupt(n, func() {
			done = false
			if taken, err := f.host.NameTaken("enp2s0"); err == nil && !taken {
				f.host.Add(netmove.Snapshot{Name: "taker", Altnames: []string{"enp2s0"}})
			}
			if taken, err := f.host.NameTaken("eth1"); err == nil && !taken {
				f.host.Add(netmove.Snapshot{Name: "eth1"})
			}
		})
		err := f.mover.Return(f.pod, &plan[0])
		if err != nil && !errors.Is(err, netmove.ErrDiffers) {
			t.Errorf("step %d: error is %v", n, err)
		}
		for _, name := range []string{"taker", "eth1"} {
			if dev, err := f.host.ByName(name); err == nil && !dev.Identity.Same(plan[0].Before.Identity) {
				f.host.Remove(name)
			}
		}
		f.returnAll(t, plan)
		dev, err := f.host.ByName("enp2s0")
		if err != nil || dev.Name != "eth1" || !dev.Flags.Up {
			t.Errorf("step %d: at home it is %+v, %v", n, dev, err)
		}
		if done {
			break
		}
	}
}

// The time for an attach ends at each of its steps.
func TestAttachRunsOutOfTime(t *testing.T) {
	cause := errors.New("the runtime's deadline is near")
	cut := 0
	for n := 1; ; n++ {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1", MTU: 1400, MAC: netmove.MAC{2, 6, 6, 6, 6, 6}})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := false
		f.Interrupt(n, func() {
			ended = true
			cancel(cause)
		})
		err := f.mover.Attach(ctx, f.pod, plan)
		if err != nil {
			if cut++; !errors.Is(err, cause) || f.String() != before {
				t.Errorf("step %d: error is %v:\n%s", n, err, f)
			}
		}
		if !ended {
			break
		}
	}
	if cut < 12 { // a look, a guard, the move, MAC, MTU, up, addresses
		t.Errorf("the time ended an attach at %d steps only", cut)
	}
}

// Altnames that the host has given away are taken off in the pod, or what keeps them is told.
func TestTakenAltnamesFailAtEveryStep(t *testing.T) {
	for _, when := range []netmovetest.When{netmovetest.Before, netmovetest.Absent} {
		var told strings.Builder
		for n := 1; ; n++ {
			f := newFixture()
			plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
			if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
				t.Fatal(err)
			}
			f.host.Add(netmove.Snapshot{Name: "taker", Altnames: []string{"enp2s0"}})
			name := plan[0].Before.Identity.RecognisableName()
			f.pod.Add(netmove.Snapshot{Name: "squatter", Altnames: []string{name}})
			f.Fail(n, when)
			err := f.mover.Return(f.pod, &plan[0])
			calls := f.Calls()
			f.Fail(0, netmovetest.Never)
			fmt.Fprintln(&told, err)
			f.host.Remove("taker")
			f.returnAll(t, plan)
			if dev, err := f.host.ByName("enp2s0"); err != nil || dev.Name != "eth1" {
				t.Errorf("step %d: %+v, %v", n, dev, err)
			}
			if calls < n {
				break
			}
		}
		if want := `return "eth1": from the pod: free the name "nd`; !strings.Contains(told.String(), want) && when == netmovetest.Before {
			t.Errorf("no step tells %q:\n%s", want, told.String())
		}
	}
}

// What a move takes of others' is kept with the device.
func TestReadKeepsOthersRoutes(t *testing.T) {
	f := newFixture()
	taken := []netmove.OthersRoute{{Entry: route("10.0.0.0/8", "192.0.2.1")}}
	f.host.Add(netmove.Snapshot{Name: "eth8", OthersRoutes: taken})
	if dev, err := netmove.Read(f.host, "eth8"); err != nil || len(dev.OthersRoutes) != 1 {
		t.Errorf("read %+v, %v", dev.OthersRoutes, err)
	}
}

// An entry that the pod has already is no difference.
func TestEntryThatIsThere(t *testing.T) {
	f := newFixture()
	neighbor := netmove.Entry{Table: netmove.TableNeighbor, Text: "192.0.2.9", Message: []byte("n")}
	f.host.Add(netmove.Snapshot{Name: "eth8", MTU: 1500, Entries: []netmove.Entry{neighbor, neighbor}})
	plan := f.mustPlan(t, netmove.Request{Device: "eth8"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil || len(plan[0].Differences) > 0 {
		t.Errorf("told: %v, %v", plan[0].Differences, err)
	}
}
