package sandbox

import (
	"errors"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// create asks for a container of a pod.
func (n *node) create(t *testing.T, p *testPod) error {
	t.Helper()
	return n.Admit(t.Context(), p.Sandbox, p.requests, untilDone{t.Context()})
}

// The pod started while the plugin was away, and has no container yet: it gets
// its devices at the gate.
func TestGateAttachesLate(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	before := n.World.String()
	if err := n.create(t, pod); err != nil {
		t.Fatal(err)
	}
	if _, ok := n.journal.Get(pod.ID); !ok {
		t.Error("the pod has a container and no devices")
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.asBefore(t, before)
}

// It gets none that it may not have, and then no container.
func TestGateRefuses(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth9")
	before := n.World.String()
	for range 2 {
		if err := n.create(t, pod); err == nil || !strings.Contains(err.Error(), "default route") {
			t.Errorf("error is %v", err)
		}
	}
	n.asBefore(t, before)
}

// It has a container already: no other one comes, and it is reported.
func TestGateOfAPodThatWasMissed(t *testing.T) {
	n := newNode(t, allowAll)
	a, empty := n.pod("a", "- name: eth1"), n.pod("b", "[]")
	before := n.World.String()
	all := []*testPod{a, empty}
	n.list(all, all...)
	if err := n.create(t, a); !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), startedWithout) {
		t.Errorf("error is %v, want %v", err, ErrMissed)
	}
	if err := n.create(t, empty); err != nil {
		t.Errorf("a pod that asks for nothing is refused: %v", err)
	}
	n.asBefore(t, before)
}

// A pod that is losing its devices does not pass as one that has them.
func TestGateWhileDevicesReturn(t *testing.T) {
	n, _, pod, _ := holding(t)
	r := *n.recordOf(t, pod)
	r.State = journal.Returning
	if err := n.journal.Put(&r); err != nil {
		t.Fatal(err)
	}
	if n.create(t, pod) == nil || n.run(t.Context(), pod) == nil {
		t.Error("not refused")
	}
}

// A program renames its device, another one restarts, the config changes, the
// plugin starts anew: a pod that has its devices is never refused.
func TestGateGoesByTheJournal(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := n.create(t, pod); err != nil {
		t.Error(err)
	}
	ns, err := n.OpenNamespace("pod-a")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := ns.ByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Rename(dev.Identity.Index, "mine"); err != nil {
		t.Fatal(err)
	}
	n.start(t, strings.Replace(allowAll, "default", "other", 1))
	n.Recover()
	n.list([]*testPod{pod}, pod)
	if err := n.create(t, pod); err != nil {
		t.Error(err)
	}
}

// An event that is told twice changes nothing.
func TestRunToldTwice(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	attached := n.World.String()
	if err := n.run(t.Context(), pod); err != nil {
		t.Error(err)
	}
	if n.World.String() != attached {
		t.Error("the second time changed the world")
	}
	n.namespaceOf(t, pod).Remove("net1")
	n.sweeps(looksInVain)
	if err := n.run(t.Context(), pod); !errors.Is(err, ErrMissed) {
		t.Errorf("told of a pod that has lost its device: %v", err)
	}
}

// The runtime's list leaves out containers that have ended: of a pod that is attached late it
// cannot be known whether one has run without the devices, and status says so.
func TestLateAttachIsTold(t *testing.T) {
	for _, listed := range []bool{true, false} {
		n := newNode(t, allowAll)
		pod := n.pod("a", "- name: eth1")
		if listed {
			n.list([]*testPod{pod})
		}
		if err := n.create(t, pod); err != nil {
			t.Fatal(err)
		}
		got := n.Status().Attachments[0].Differences
		if err := n.run(t.Context(), n.listedPod("b", "- name: eth2")); err != nil {
			t.Fatal(err)
		}
		if got := n.Status().Attachments[1].Differences; len(got) > 0 {
			t.Errorf("a pod that has just started: %+v", got)
		}
		if told := len(got) == 1 && got[0].Attribute == "late"; told != listed {
			t.Errorf("listed before: %v, differences %+v", listed, got)
		}
	}
}

// listedPod is a pod that the runtime lists before it tells of its start.
func (n *node) listedPod(name, devices string) *testPod {
	p := n.pod(name, devices)
	n.list([]*testPod{p})
	return p
}
