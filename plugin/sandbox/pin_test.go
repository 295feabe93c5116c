package sandbox

import (
	"errors"
	"slices"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// A pin that means another namespace is made anew, of the pod's own.
func TestPinOfAForeignNamespace(t *testing.T) {
	n, _, pod, ns := holding(t)
	path := n.pins.path(pod.ID)
	if err := n.Pin(n.AddNamespace("foreign"), path); err != nil {
		t.Fatal(err)
	}
	n.CloseFails(true)
	n.sweep()
	n.CloseFails(false)
	if inode, err := n.InodeAt(path); err != nil || inode != ns.Inode() {
		t.Errorf("the pin is of namespace %d, %v; want %d", inode, err, ns.Inode())
	}
	n.told(t, 1, "ERROR close a network namespace netns="+path)
	if got := n.Handles(); got != 0 {
		t.Errorf("%d handles are open", got)
	}
}

// Of a pin that is in place nothing is opened, and nothing is made.
func TestPinInPlace(t *testing.T) {
	n, _, pod, _ := holding(t)
	r := n.recordOf(t, pod)
	n.Fail(0, netmovetest.Never)
	if err := n.pins.renew(r); err != nil || n.Calls() != 1 {
		t.Errorf("%d requests, want a look at the pin; error %v", n.Calls(), err)
	}
}

// A pin is gone and cannot be made again, since pins cannot be any more: a handle stands in
// for it, and keeps the namespace alive.
func TestRenewedPinIsKept(t *testing.T) {
	n, before, pod, ns := holding(t)
	n.CannotPin(true)
	if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	n.sweeps(3)
	n.Fail(0, netmovetest.Never)
	if err := n.pins.renew(n.recordOf(t, pod)); err != nil || n.Calls() != 0 {
		t.Errorf("%d requests for what is kept, error %v", n.Calls(), err)
	}
	if n.Handles() != 1 || n.Pins() != 1 {
		t.Errorf("%d handles are open, %d namespaces kept alive, want one", n.Handles(), n.Pins())
	}
	ns.Leave()
	n.RemoveNamespace("pod-a")
	n.sweeps(proofsNeeded)
	if got := hostOnly(n.World.String()); got != before {
		t.Errorf("the device did not come home:\n%s", got)
	}
	if got := n.Handles(); got != 0 {
		t.Errorf("%d handles are open", got)
	}
}

// A pin that cannot be made again is told once, and no more than that happens.
func TestPinCannotBeRenewed(t *testing.T) {
	n, _, pod, _ := holding(t)
	if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	n.FailFrom(1)
	n.sweeps(10)
	n.Fail(0, netmovetest.Never)
	n.told(t, 1, "ERROR cannot pin the pod's network namespace again")
	if state, problem := n.stateOf(t, "eth1"); state != StateAttached || problem != "" {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
	n.sweep()
	if _, err := n.InodeAt(n.pins.path(pod.ID)); err != nil {
		t.Errorf("the pin is not renewed: %v", err)
	}
	if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	n.FailFrom(1)
	n.sweeps(10)
	n.Fail(0, netmovetest.Never)
	n.told(t, 2, "ERROR cannot pin the pod's network namespace again") // it is news again
}

// Every request of a new pin fails in turn: that is told, or there is a pin.
func TestRenewFails(t *testing.T) {
	n, _, pod, _ := holding(t)
	r := n.recordOf(t, pod)
	for step := 1; ; step++ {
		if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
			t.Fatal(err)
		}
		n.Fail(step, netmovetest.Before)
		err := n.pins.renew(r)
		met := n.Calls() >= step
		n.Fail(0, netmovetest.Never)
		if err == nil && !n.pins.pinned(r) || err != nil && !errors.Is(err, netmovetest.ErrInjected) || n.Handles() != 0 {
			t.Errorf("step %d: pinned %v, error %v, %d handles are open", step, n.pins.pinned(r), err, n.Handles())
		}
		if !met {
			return
		}
	}
}

// The namespace of a pod that runs cannot be opened: told once, and nothing is lost for it.
func TestLookCannotOpen(t *testing.T) {
	n, _, _, _ := holding(t)
	n.CannotOpen(true)
	n.sweeps(10)
	n.told(t, 1, "ERROR cannot look for the pod's devices")
	n.told(t, 1, "ERROR")
	if state, problem := n.stateOf(t, "eth1"); state != StateAttached || problem != "" {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
	n.CannotOpen(false)
	n.CloseFails(true)
	n.sweeps(10)
	n.told(t, 1, "ERROR close the pod's network namespace")
	n.told(t, 2, "ERROR")
}

// A namespace that cannot be opened by its pin is opened by the runtime's path, and is not gone
// for that.
func TestPinCannotBeOpened(t *testing.T) {
	n, _, pod, ns := holding(t)
	r := n.recordOf(t, pod)
	n.Fail(1, netmovetest.Before)
	got, done, err := n.pins.namespace(r)
	if err != nil || got != netmove.Namespace(ns) {
		t.Fatalf("opened %v, %v", got, err)
	}
	if err := done(); err != nil || n.Handles() != 0 {
		t.Errorf("%d handles are open: %v", n.Handles(), err)
	}
	n.Fail(2, netmovetest.Before)
	n.RemoveNamespace("pod-a")
	if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	n.Fail(2, netmovetest.Before)
	if got, _, err := n.pins.namespace(r); got != nil || !errors.Is(err, netmovetest.ErrInjected) {
		t.Errorf("a path that cannot be opened reads as gone: %v, %v", got, err)
	}
}

// A pin that cannot be removed is told, also where a handle is closed beside it.
func TestPinStaysBesideAHandle(t *testing.T) {
	n := newNode(t, allowAll)
	n.CannotPin(true)
	pod := n.pod("a", "- name: eth1")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.Fail(1, netmovetest.Before)
	if err := n.pins.release(pod.ID); !errors.Is(err, netmovetest.ErrInjected) || n.Handles() != 0 {
		t.Errorf("error %v, %d handles are open", err, n.Handles())
	}
}

// Only programs that were taken off a device are held. That one of them cannot be let go of is
// told, and the others are let go of.
func TestProgramsAreLetGoOf(t *testing.T) {
	n, pod, _ := detached(t)
	r := *n.recordOf(t, pod)
	r.Sandbox = "another"
	r.Devices = slices.Clone(r.Devices)
	r.Devices[0].Before.Programs = []netmove.Program{{Hook: netmove.TCXIngress, ID: 9}}
	if err := n.pins.holdPrograms(&r); err != nil || n.Holders() != 2 {
		t.Errorf("%d programs are held, want those of the pod: %v", n.Holders(), err)
	}
	n.CloseFails(true)
	if err := n.pins.release(pod.ID); !errors.Is(err, netmovetest.ErrInjected) || n.Holders() != 0 {
		t.Errorf("%d programs are held: %v", n.Holders(), err)
	}
	if err := n.pins.release(pod.ID); err != nil {
		t.Errorf("once more: %v", err)
	}
}
