package sandbox

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// stateOf tells the device's state in the status, and why.
func (n *node) stateOf(t *testing.T, device string) (State, string) {
	t.Helper()
	for _, a := range n.Status().Attachments {
		if a.Device == device {
			return a.State, a.Problem
		}
	}
	return "", ""
}

// What cannot be removed from a device keeps it down and nobody's, also when it
// could be removed later, until an operator has it returned.
func TestQuarantine(t *testing.T) {
	n, before, pod, ns := holding(t)
	dev, err := ns.ByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	ns.AttachProgram(dev.Identity.Index, netmove.Program{Hook: netmove.XDPDriver, ID: 7})
	n.Hold(dev.Identity.Inode, true)
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	for range enoughTries {
		n.sweep()
	}
	check := func(when string) {
		t.Helper()
		if state, problem := n.stateOf(t, "eth1"); state != StateQuarantined || !strings.Contains(problem, netmove.ErrTainted.Error()) {
			t.Errorf("%s: eth1 is %s: %s", when, state, problem)
		}
		if home, err := n.host.ByName("eth1"); err != nil || home.Flags.Up {
			t.Errorf("%s: the host has %+v, %v", when, home, err)
		}
		if n.seen.of("quarantined") == 0 {
			t.Errorf("%s: not counted", when)
		}
		if err := n.run(t.Context(), n.pod("b-"+when, "- name: eth1")); err == nil || !strings.Contains(err.Error(), `device "eth1" is quarantined`) {
			t.Errorf("%s: error is %v", when, err)
		}
	}
	check("now")
	written := n.journal.Homecomings()
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Devices) > 0 || len(r.Problems) != 1 {
		t.Errorf("returned in vain: %+v, %v", r, err)
	}
	if now := n.journal.Homecomings(); now != written {
		t.Errorf("a return that changed nothing wrote %d records", now-written)
	}
	check("still")
	n.Sleep(1) // 0 is no time
	n.sweep()
	n.Sleep(2 * lostKept)
	n.sweep()
	check("for-good")
	n.EndProcess()
	n.start(t, allowAll)
	n.Recover()
	n.Hold(dev.Identity.Inode, false)
	n.sweep()
	if state, _ := n.stateOf(t, "eth1"); state != StateQuarantined {
		t.Errorf("nobody said so, and eth1 is %q", state)
	}
	if r, err := n.ReturnByHand(Selection{Devices: []string{"alt-eth1"}}); err != nil || len(r.Problems) > 0 {
		t.Errorf("returned: %+v, %v", r, err)
	}
	if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
}

// A device that was moved by hand stays where it is, through restarts, sweeps and
// lists that know nothing of it, whatever the allow rules say.
func TestMoveByHand(t *testing.T) {
	const nothing = "apiVersion: netdev.noderesource.dev/v1alpha1\nkind: NodeConfig\nprotect: [eth3]\n"
	n := newNode(t, nothing)
	before := n.World.String()
	n.AddNamespace("lab")
	if _, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "/run/netns/lab", Name: "net1"}, "lab"); err != nil {
		t.Fatal(err)
	}
	n.age(t)
	n.list(nil)
	n.EndProcess()
	n.start(t, nothing)
	n.Recover()
	for range 3 {
		n.sweep()
	}
	if state, problem := n.stateOf(t, "eth1"); state != StateAttached || problem != "" {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
	for device, want := range map[string]string{
		"eth1": `device "eth1" is in use by the network namespace /run/netns/lab, where it was moved by hand`,
		"eth3": `device "eth3" is protected by this node's config and never moves (unless it is forced: --force)`,
		"eth9": `device "eth9" carries the node's default route and never moves: default table main (unless it is forced: --force)`,
	} {
		if _, err := n.Move(t.Context(), Move{Device: device}, "lab"); err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	if _, err := n.Move(t.Context(), Move{Device: "eth3", Force: true}, "lab"); err != nil {
		t.Error(err)
	}
	n.sweep()
	if got := n.Status().Attachments; len(got) != 2 || got[0].Pod != "" {
		t.Errorf("status: %+v", got)
	}
	r, err := n.ReturnByHand(Selection{Devices: []string{"eth1", "eth3", "eth1"}})
	if err != nil || len(r.Devices) != 2 || len(r.Problems) > 0 {
		t.Errorf("returned %+v, %v", r, err)
	}
	n.sweep()
	if left := n.memories.keys(); len(left) > 0 {
		t.Errorf("remembered: %q", left)
	}
	n.RemoveNamespace("lab")
	n.asBefore(t, before)
}

// An operator may take one device from a pod that runs, which keeps the others.
func TestReturnFromRunningPod(t *testing.T) {
	n := newNode(t, allowAll)
	before := n.World.String()
	pod := n.pod("a", "- name: eth1\n- name: eth2\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Devices) != 1 || len(r.Problems) > 0 {
		t.Errorf("returned %+v, %v", r, err)
	}
	if _, err := n.InodeAt(n.pins.path(pod.ID)); err != nil {
		t.Errorf("the pin of a pod that has devices is gone: %v", err)
	}
	n.sweep()
	if state, _ := n.stateOf(t, "eth2"); state != StateAttached {
		t.Errorf("eth2 is %q", state)
	}
	if err := n.create(t, pod); !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), `device "eth1": it was returned: an operator wants it`) {
		t.Errorf("a container of a pod that has lost a device: %v", err)
	}
	if r, err := n.ReturnByHand(Selection{Sandbox: pod.ID}); err != nil || len(r.Devices) != 1 {
		t.Errorf("returned %+v, %v", r, err)
	}
	n.RemoveNamespace("pod-a")
	n.asBefore(t, before)
}

// Of a device that is lost, an operator is told once more, and that ends its
// record.
func TestReturnOfTheLost(t *testing.T) {
	n, _, pod, ns := holding(t)
	dev, err := ns.ByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Delete(dev.Identity.Index); err != nil {
		t.Fatal(err)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.sweeps(enoughTries - 1)
	if state, problem := n.stateOf(t, "eth1"); state != StateLost || problem == "" {
		t.Errorf("eth1 is %q: %s", state, problem)
	}
	if r, err := n.ReturnByHand(Selection{All: true}); err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], netmove.ErrLost.Error()) {
		t.Errorf("returned %+v, %v", r, err)
	}
	if _, ok := n.journal.Get(pod.ID); ok {
		t.Error("the record is left")
	}
}

// Looks that change nothing write nothing, however many devices wait.
func TestLooksThatChangeNothing(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n- name: eth3\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eth1", "eth2", "eth3"} {
		n.host.AddDevice(other(name))
	}
	n.End(pod.ID)
	n.sweep()
	written := n.journal.Homecomings()
	for range 3 {
		n.sweep()
	}
	if now := n.journal.Homecomings(); now != written {
		t.Errorf("%d records were written", now-written)
	}
}

// A device whose name was given away is reported, and counts as such.
func TestMisnamedIsReported(t *testing.T) {
	n, _, pod, _ := holding(t)
	n.host.Add(netmove.Snapshot{Name: "eth1"})
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	a := n.Status().Attachments
	if len(a) != 1 || a[0].State != StateMisnamed || !strings.HasPrefix(a[0].HomeName, "nd") || a[0].Pod != "default/a" {
		t.Errorf("status: %+v", a)
	}
	if r, _ := n.journal.Get(pod.ID); r.State != journal.Returning {
		t.Errorf("record: %+v", r)
	}
	written := n.journal.Homecomings()
	for range 3 {
		n.sweep()
	}
	if now := n.journal.Homecomings(); now != written {
		t.Errorf("looks that changed nothing wrote %d records", now-written)
	}
}

// A name that means two devices is refused, with both named: one that a pod has lost, and one
// that was made anew and is another pod's.
func TestReturnOfANameThatMeansTwo(t *testing.T) {
	n, _, lost, ns := holding(t)
	ns.Remove("net1")
	for range looksInVain {
		n.sweep()
	}
	n.host.Add(netmove.Snapshot{Name: "eth1", MTU: 1500})
	running := n.pod("b", "- name: eth1")
	if err := n.run(t.Context(), running); err != nil {
		t.Fatal(err)
	}
	_, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}})
	for _, want := range []string{lost.ID, running.ID, "--sandbox"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	if r, ok := n.journal.Get(running.ID); !ok || r.State != journal.Attached || len(r.Devices) != 1 {
		t.Errorf("the pod that runs was robbed: %+v", r)
	}
	if r, err := n.ReturnByHand(Selection{Sandbox: running.ID}); err != nil || len(r.Devices) != 1 {
		t.Errorf("returned %+v, %v", r, err)
	}
	if _, ok := n.journal.Get(lost.ID); !ok {
		t.Error("the other record went along")
	}
}

// A device that was moved by hand and is home, but not yet as it was, is returning, for the
// reason that there is.
func TestManualReturnThatIsNotDone(t *testing.T) {
	var n *node
	for step := 1; ; step++ {
		n = newNode(t, allowAll)
		n.AddNamespace("lab")
		if _, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "lab"}, "lab"); err != nil {
			t.Fatal(err)
		}
		n.Fail(step, netmovetest.Before)
		r, err := n.ReturnByHand(Selection{All: true})
		if err != nil {
			t.Fatal(err)
		}
		met := n.Calls() >= step
		n.Fail(0, netmovetest.Never)
		if _, err := n.host.ByName("eth1"); err == nil && len(r.Problems) > 0 {
			break // home, and something could not be put back
		}
		if !met {
			t.Fatal("no step leaves it home and not as it was")
		}
	}
	if state, problem := n.stateOf(t, "eth1"); state != StateReturning || problem == "" {
		t.Errorf("eth1 is %s: %q", state, problem)
	}
	n.sweep()
	if state, _ := n.stateOf(t, "eth1"); state != "" {
		t.Errorf("eth1 is %s after another try", state)
	}
}

// After a return by hand, the next container of the pod is told so, and the pod is reported.
func TestContainerAfterAReturnByHand(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	if err := errors.Join(n.run(t.Context(), pod), n.create(t, pod)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil {
		t.Fatal(err)
	}
	if got := n.Missed(); len(got) != 1 || got[0].Reason != returnedByHand {
		t.Errorf("missed: %+v", got)
	}
	n.list([]*testPod{pod}) // which leaves out containers that have ended
	if err := n.create(t, pod); !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), returnedByHand) {
		t.Errorf("the next container: %v", err)
	}
	n.End(pod.ID)
	if got := n.Missed(); len(got) > 0 {
		t.Errorf("missed: %+v", got)
	}
}
