package netmove_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// What the pod adds to what travels with the device is removed, at whichever step of the
// return it is seen first.
func TestAddedEntriesGo(t *testing.T) {
	f := newFixture()
	own := netmove.Entry{Table: netmove.TableVXLAN, Text: "ours", Message: []byte("ours")}
	f.host.Add(netmove.Snapshot{Name: "vx0", MTU: 1450, Entries: []netmove.Entry{own}, Flags: netmove.LinkFlags{Up: true}})
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "vx0"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		f.pod.PutEntry(plan[0].PodIndex, netmove.Entry{Table: netmove.TableVXLAN, Text: "theirs", Message: []byte("theirs")}),
		f.pod.DropEntry(plan[0].PodIndex, own),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// Entries that somebody on the host makes while a device comes home are the host's.
func TestEntriesOfTheHostStay(t *testing.T) {
	f := newFixture()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	f.returnAll(t, plan)
	theirs := route("10.99.0.0/16", "192.0.2.254")
	if err := f.host.PutEntry(plan[0].Before.Identity.Index, theirs); err != nil {
		t.Fatal(err)
	}
	f.returnAll(t, plan)
	if !strings.Contains(f.String(), "10.99.0.0/16") {
		t.Errorf("a route of the host's is gone:\n%s", f)
	}
}

// An option that the kernel cannot take away again is told, unless it may have been there.
func TestAddedOptionIsTold(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edit  func(*netmove.Snapshot)
		added string
		want  []string
	}{
		{"added", nil, "vxlan.9", []string{"option vxlan.9"}},
		{"of a group that was not told", func(s *netmove.Snapshot) {
			s.Options = append(slices.Clone(s.Options), netmove.Option{Name: "ethtool.rings", Unknown: true})
		}, "ethtool.rings.5", nil},
		{"of an older record", func(s *netmove.Snapshot) { s.Parts = 0 }, "vxlan.9", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture()
			plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
			if tc.edit != nil {
				tc.edit(&plan[0].Before)
			}
			if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
				t.Fatal(err)
			}
			if err := f.pod.SetOption(plan[0].PodIndex, netmove.Option{Name: tc.added, Value: netmove.RawValue{1}}); err != nil {
				t.Fatal(err)
			}
			err := f.mover.Return(f.pod, &plan[0])
			var got []string
			if minor, ok := errors.AsType[*netmove.MinorError](err); ok {
				for _, s := range minor.Steps {
					if !strings.Contains(s.Error(), "unset option "+tc.added+": the kernel has no request to take it away") {
						t.Errorf("told: %v", s)
					}
					got = append(got, s.Attribute)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

// An option that answers EBUSY whatever is done costs neither up nor addresses, and a MAC
// that does has the device go down once, and not at each try.
func TestBusyDoesNotFlap(t *testing.T) {
	f := newFixture()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	index := plan[0].PodIndex
	for _, err := range []error{
		f.pod.SetOption(index, netmove.Option{Name: "gso_max_size", Value: netmove.RawValue{9}}),
		f.pod.SetMAC(index, netmove.MAC{2, 6, 6, 6, 6, 6}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.Busy(true)
	for try := range 4 {
		downs := f.Downs()
		err := f.mover.Return(f.pod, &plan[0])
		if !errors.Is(err, netmove.ErrBusy) || !errors.Is(err, netmove.ErrDiffers) {
			t.Fatalf("error is %v", err)
		}
		if strings.Contains(err.Error(), "it had no effect") {
			t.Errorf("the kernel's answer is not told: %v", err)
		}
		home, err := netmove.Read(f.host, "eth1")
		if err != nil || !home.Flags.Up || len(home.Addresses) != 5 {
			t.Errorf("try %d: at home it is %+v, %v", try, home, err)
		}
		if n := f.Downs() - downs; try > 1 && n > 0 {
			t.Errorf("try %d set it down %d times", try, n)
		}
	}
	f.Busy(false)
	f.returnAll(t, plan)
	if home, err := netmove.Read(f.host, "eth1"); err != nil || home.MAC.String() != "02:00:00:00:00:01" {
		t.Errorf("at home it is %+v, %v", home, err)
	}
}

// A driver that changes a MAC or the link type only of a device that is down gets its way.
func TestBusyWhileUp(t *testing.T) {
	f := newFixture()
	eth1, err := f.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	index := eth1.Identity.Index
	linkType := func(value byte) error {
		return f.host.SetOption(index, netmove.Option{Name: netmove.LinkType, Value: netmove.RawValue{value}})
	}
	if err := linkType(1); err != nil {
		t.Fatal(err)
	}
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
	if err := errors.Join(linkType(32), f.host.SetMAC(index, netmove.MAC{2, 6, 6, 6, 6, 6})); err != nil {
		t.Fatal(err)
	}
	f.BusyUp(true)
	f.returnAll(t, plan) // it is home already
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// An address that the kernel refused is not the pod's, and is asked for again at home.
func TestRefusedAddress(t *testing.T) {
	f := newFixture()
	refused := permanent("2001:db8:7::1/64", func(a *netmove.Address) { a.Flags |= netmove.FlagDADFailed })
	f.host.Add(netmove.Snapshot{Name: "eth7", MTU: 1500, Addresses: []netmove.Address{refused}, Flags: netmove.LinkFlags{Up: true}})
	plan := f.mustPlan(t, netmove.Request{Device: "eth7"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	inPod, err := netmove.Read(f.pod, "eth7")
	if err != nil || len(inPod.Addresses) > 0 {
		t.Errorf("in the pod: %+v, %v", inPod.Addresses, err)
	}
	if d := plan[0].Differences; len(d) != 1 || !strings.Contains(d[0].String(), "addresses: 2001:db8:7::1/64 stays on the host") {
		t.Errorf("told: %v", d)
	}
	f.returnAll(t, plan)
	home, err := netmove.Read(f.host, "eth7")
	if err != nil || len(home.Addresses) != 1 || home.Addresses[0].Flags&netmove.FlagNoDAD != 0 {
		t.Errorf("at home: %+v, %v", home.Addresses, err)
	}
}

// What a pod's own ipvlan changes of the host's is the host's again.
func TestSharedOptionsOfUppers(t *testing.T) {
	f := newFixture()
	eth2, err := f.host.ByName("eth2")
	if err != nil {
		t.Fatal(err)
	}
	mode := netmove.Option{Name: "ipvlan.1", Value: netmove.RawValue{0}}
	f.host.AddUpper(f.host, eth2.Identity.Index, netmove.Snapshot{
		Name: "ipv0", MTU: 1500, Identity: netmove.Identity{Kind: "ipvlan"}, Options: []netmove.Option{mode},
	})
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	ipv0, err := f.host.ByName("ipv0")
	if err == nil {
		err = f.host.SetOption(ipv0.Identity.Index, netmove.Option{Name: "ipvlan.1", Value: netmove.RawValue{1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// The check in the pod tells all that is not as meant.
func TestArrivalIsChecked(t *testing.T) {
	request := netmove.Request{Device: "eth1", PodName: "net1", GSOMaxSize: 50000}
	quiet := newFixture()
	before := quiet.mustPlan(t, request)
	quiet.Fail(0, netmovetest.Never)
	if err := quiet.mover.Attach(t.Context(), quiet.pod, before); err != nil {
		t.Fatal(err)
	}
	f := newFixture()
	plan := f.mustPlan(t, request)
	f.Interrupt(quiet.Calls()-1, func() { // the last requests read the link, and the addresses
		index := plan[0].PodIndex
		for _, err := range []error{
			f.pod.SetMTU(index, 1400), f.pod.SetMAC(index, netmove.MAC{2, 6, 6, 6, 6, 6}), f.pod.SetAlias(index, "x"),
			f.pod.SetTxQueueLen(index, 1), f.pod.SetGroup(index, 9), f.pod.SetFlags(index, netmove.LinkFlags{Promisc: true}),
			f.pod.SetUp(index, false), f.pod.Rename(index, "other"), f.pod.DropAltname(index, "enp2s0"),
			f.pod.AddAltname(index, "theirs"), f.pod.SetOption(index, netmove.Option{Name: "gso_max_size"}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range plan[0].Differences {
		if d.Text == "" {
			t.Errorf("%s: no words", d.Attribute)
		}
		got = append(got, d.Attribute)
	}
	slices.Sort(got)
	want := []string{"addresses", "addresses", "alias", "altnames", "altnames", "flags", "group", "mac", "mtu", "name", "option gso_max_size", "txqueuelen", "up"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differences (-want +got):\n%s\n%v", diff, plan[0].Differences)
	}
}

// The kernel builds a macvlan of the pod's beside ours, on the host's device, when it is built
// on ours. It goes from a namespace that the pod made, and stays where others have one.
func TestSiblingsGo(t *testing.T) {
	f := newFixture()
	eth2, err := f.host.ByName("eth2")
	if err != nil {
		t.Fatal(err)
	}
	below := eth2.Identity.Index
	macvlan := func(name string) netmove.Snapshot {
		return netmove.Snapshot{Name: name, MTU: 1500, Identity: netmove.Identity{Kind: "macvlan"}}
	}
	f.host.AddUpper(f.host, below, macvlan("mac0"))
	elder := f.pod.Nest(f.pod.AddUpper(f.host, below, macvlan("elder")).Identity.Index)
	elder.Enter()
	f.pod = f.AddNamespace("young pod")
	f.pod.Knows(elder)
	f.pod.AddUpper(f.host, below, macvlan("cni")) // by a CNI plugin, before the attach
	plan := f.mustPlan(t, netmove.Request{Device: "mac0"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	f.pod.AddUpper(f.host, below, macvlan("own"))
	f.pod.Nest(f.pod.AddUpper(f.host, below, macvlan("mac1")).Identity.Index)
	held := f.pod.AddUpper(f.host, below, macvlan("held"))
	f.pod.Nest(held.Identity.Index).Enter()
	f.mover.Holds = held.Identity.Same
	f.pod.Nest(f.pod.AddUpper(f.host, below, macvlan("mac2")).Identity.Index).Enter()
	other := f.pod.Nest(f.pod.AddUpper(f.host, below, macvlan("other")).Identity.Index)
	other.Enter()
	other.Share()
	f.returnAll(t, plan)
	world := f.String()
	for name, stays := range map[string]bool{"mac0": true, "elder": true, "cni": true, "own": true, "held": true, "other": true, "mac1": false, "mac2": false} {
		if strings.Contains(world, "eth2 has "+name+" on it") != stays {
			t.Errorf("%s on the host's device: %v, want %v:\n%s", name, !stays, stays, world)
		}
	}
}
