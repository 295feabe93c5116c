package netmove_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// From some step of a return on everything fails: the look that failed is told, and the errors
// of the steps before it.
func TestReturnFailsForGood(t *testing.T) {
	var told strings.Builder
	for n := 1; ; n++ {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1", MTU: 1400, MAC: netmove.MAC{2, 6, 6, 6, 6, 6}})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		f.FailFrom(n)
		err := f.mover.Return(f.pod, &plan[0])
		if f.Calls() < n {
			break
		}
		f.Fail(0, netmovetest.Never)
		looks := []string{`return "eth1": `, "look at it again: injected", "look for programs", "look at eth1.5"}
		if !errors.Is(err, netmovetest.ErrInjected) || !containsAny(err.Error(), looks) {
			t.Errorf("step %d: error is %v", n, err)
		}
		told.WriteString(text(err) + "\n")
		f.returnAll(t, plan)
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("step %d: the world differs (-want +got):\n%s", n, diff)
		}
	}
	for _, want := range []string{"injected\nlook at it again: injected", "look for programs: injected", "look at eth1.5: injected"} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("no step tells %q:\n%s", want, told.String())
		}
	}
}

func containsAny(s string, those []string) bool {
	for _, one := range those {
		if strings.Contains(s, one) {
			return true
		}
	}
	return false
}

// What is refused once is put back at the second pass, and nothing is told.
func TestSecondPass(t *testing.T) {
	done := 0
	for n := 1; ; n++ {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, netmove.Request{Device: "eth3"})
		if err := f.host.SetGroup(plan[0].Before.Identity.Index, 9); err != nil {
			t.Fatal(err)
		}
		f.Fail(n, netmovetest.Before)
		err := f.mover.Return(f.pod, &plan[0])
		if f.Calls() < n {
			break
		}
		if err == nil {
			done++
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d: the world differs (-want +got):\n%s", n, diff)
			}
		}
	}
	if done != 1 {
		t.Errorf("%d requests may fail, want that which sets the group", done)
	}
}

// looker is the host, and keeps what was read anew.
type looker struct {
	*netmovetest.Namespace
	parts []netmove.Parts
}

func (l *looker) Fill(dev *netmove.Snapshot, parts netmove.Parts) error {
	l.parts = append(l.parts, parts)
	return l.Namespace.Fill(dev, parts)
}

// A device is read again after a change, and without its sysctls if none of them was changed.
func TestLooksAgain(t *testing.T) {
	all := netmove.AllParts
	for name, tc := range map[string]struct {
		change func(ns *netmovetest.Namespace, index int) error
		want   []netmove.Parts
	}{
		"nothing": {func(*netmovetest.Namespace, int) error { return nil }, []netmove.Parts{all}},
		"group":   {func(ns *netmovetest.Namespace, index int) error { return ns.SetGroup(index, 9) }, []netmove.Parts{all, all}},
		"up":      {func(ns *netmovetest.Namespace, index int) error { return ns.SetUp(index, true) }, []netmove.Parts{all, all &^ netmove.PartSysctls}},
		"sysctl": {
			func(ns *netmovetest.Namespace, index int) error {
				return ns.SetSysctl(index, "ipv4/conf/arp_ignore", "2")
			},
			[]netmove.Parts{all, all},
		},
	} {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
		if err := tc.change(f.host, plan[0].Before.Identity.Index); err != nil {
			t.Fatal(err)
		}
		host := &looker{Namespace: f.host}
		f.mover.Host = host
		if err := f.mover.Return(nil, &plan[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, host.parts); diff != "" {
			t.Errorf("%s: looks (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("%s: the world differs (-want +got):\n%s", name, diff)
		}
	}
}

// A device that is home and up is set down for what the pod has left on it.
func TestTaintedAtHome(t *testing.T) {
	f := newFixture()
	plan := f.mustPlan(t, netmove.Request{Device: "eth3"})
	f.host.AttachProgram(plan[0].Before.Identity.Index, netmove.Program{Hook: netmove.XDPGeneric, ID: 66})
	f.Hold(plan[0].Before.Identity.Inode, true)
	if err := f.mover.Return(f.pod, &plan[0]); !errors.Is(err, netmove.ErrTainted) {
		t.Errorf("error is %v", err)
	}
	if home, err := f.host.ByName("eth3"); err != nil || home.Flags.Up {
		t.Errorf("at home it is %+v, %v", home, err)
	}
}

// dark is a pod in which no device can be looked for.
type dark struct {
	*netmovetest.Namespace
	puts int
}

func (l *dark) Find(netmove.Identity, int) (netmove.Snapshot, error) {
	return netmove.Snapshot{}, netmovetest.ErrInjected
}

func (l *dark) PutEntry(index int, e netmove.Entry) error {
	l.puts++
	return l.Namespace.PutEntry(index, e)
}

// The pod keeps the device's default route as long as it may have the device.
func TestReplacedStandBackMeanwhile(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, threeRequests()[1])
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	pod := &dark{Namespace: f.pod}
	if err := f.mover.Return(pod, &plan[0]); !errors.Is(err, netmovetest.ErrInjected) || pod.puts > 0 {
		t.Errorf("%d routes are put back: %v", pod.puts, err)
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}
