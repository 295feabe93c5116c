package sandbox

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// astray moves a device from a pod to a namespace of the pod's own; back moves it back again.
func (n *node) astray(t *testing.T, ns *netmovetest.Namespace, name string) (nested *netmovetest.Namespace, back func()) {
	t.Helper()
	nested = n.AddNamespace("pod-nested")
	if err := ns.Move(index(t, ns, name), nested, "x", 0); err != nil {
		t.Fatal(err)
	}
	return nested, func() {
		t.Helper()
		if err := nested.Move(index(t, nested, "x"), ns, name, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// The devices of a pod that runs are looked for now and then, by the time since boot.
func TestLooksAreSpaced(t *testing.T) {
	n, _, pod, _ := holding(t)
	n.Sleep(1)
	for _, tc := range []struct {
		passes time.Duration
		due    bool
	}{{0, true}, {0, false}, {lookEvery - 1, false}, {1, true}, {1, false}, {lookEvery, true}} {
		n.Sleep(tc.passes)
		if got := n.lookIsDue(pod.ID); got != tc.due {
			t.Errorf("after %v more: due %v, want %v", tc.passes, got, tc.due)
		}
	}
}

// A device that is missing is looked for again at once, and not after that.
func TestMissingIsLookedForSoon(t *testing.T) {
	n, _, pod, ns := holding(t)
	n.Sleep(1)
	n.sweep()
	_, back := n.astray(t, ns, "net1")
	if n.sweep() { // not due
		t.Error("looked for before it was due")
	}
	n.Sleep(lookEvery)
	if !n.sweep() {
		t.Error("no look at once")
	}
	n.sweep()
	if state, _ := n.stateOf(t, "eth1"); state != StateLost {
		t.Errorf("eth1 is %s", state)
	}
	n.told(t, 1, "ERROR device is lost while the pod runs device=eth1")
	if n.sweep(); n.sweep() {
		t.Error("looked for for ever")
	}
	n.Sleep(lookEvery)
	n.sweeps(3)
	n.told(t, 1, "ERROR")
	back()
	n.Sleep(lookEvery)
	n.sweep()
	n.told(t, 1, "INFO device is in the pod again device=eth1")
	if r := n.recordOf(t, pod); len(r.Devices) != 1 || len(r.Lost) != 0 || len(r.Problems) != 0 {
		t.Errorf("record: %+v", r)
	}
}

// A device that is missing now and then, and found in between, is not lost.
func TestLooksInVainInARow(t *testing.T) {
	n, _, _, ns := holding(t)
	for range 3 {
		nested, back := n.astray(t, ns, "net1")
		n.sweep()
		back()
		n.sweep()
		nested.Leave()
		n.RemoveNamespace("pod-nested")
	}
	if state, problem := n.stateOf(t, "eth1"); state != StateAttached {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
	n.told(t, 0, "ERROR")
}

// A pod that runs has lost hardware, which comes home by itself: it is restored, and the pod
// keeps what it has.
func TestLostHardwareComesHomeWhileThePodRuns(t *testing.T) {
	n := newNode(t, allowAll)
	n.hardware()
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	nested, _ := n.astray(t, n.namespaceOf(t, pod), "net1")
	n.sweeps(looksInVain)
	if state, _ := n.stateOf(t, "eth1"); state != StateLost {
		t.Fatalf("eth1 is %s", state)
	}
	if err := nested.Move(index(t, nested, "x"), n.host, "eth7", 0); err != nil {
		t.Fatal(err)
	}
	n.sweep()
	if dev, err := n.host.ByName("eth1"); err != nil || !dev.Flags.Up {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
	r := n.recordOf(t, pod)
	if r.State != journal.Attached || len(r.Devices) != 1 || len(r.Lost) != 0 || !strings.Contains(r.Problems["eth1"].Text, string(strayed)) {
		t.Errorf("record: %+v", r)
	}
}

// The namespace of a pod that runs cannot be found: what is home is restored, and nothing else
// counts as lost.
func TestLookWithoutANamespace(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- {name: eth2, newName: net2}\n- name: eth3\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	ns := n.namespaceOf(t, pod)
	nested, _ := n.astray(t, ns, "net2")
	n.sweeps(looksInVain) // eth2 is lost
	if err := ns.Move(index(t, ns, "net1"), n.host, "wild", 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Unpin(n.pins.path(pod.ID)), nested.Move(index(t, nested, "x"), ns, "net2", 0)); err != nil {
		t.Fatal(err)
	}
	n.RemoveNamespace("pod-a") // its processes are left
	n.sweeps(looksInVain + 1)
	if dev, err := n.host.ByName("eth1"); err != nil || !dev.Flags.Up {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
	if state, _ := n.stateOf(t, "eth2"); state != StateLost {
		t.Errorf("eth2 is %s, and nobody knows where", state)
	}
	if state, problem := n.stateOf(t, "eth3"); state != StateAttached || problem != "" {
		t.Errorf("eth3 is %s: %s", state, problem)
	}
}

// The record has changed since the sweep began: nothing is looked for, and nothing pinned.
func TestTendOfWhatHasChanged(t *testing.T) {
	n, _, pod, _ := holding(t)
	n.host.AddDevice(other("eth1"))
	n.End(pod.ID) // it waits for its name
	n.Fail(0, netmovetest.Never)
	if begun, home := n.tendLocked(pod.ID); len(begun) > 0 || len(home) > 0 || n.Calls() > 0 {
		t.Errorf("begun %v, home %v, %d requests", begun, home, n.Calls())
	}
	if begun, home := n.tendLocked("unknown"); len(begun) > 0 || len(home) > 0 || n.Calls() > 0 {
		t.Errorf("begun %v, home %v, %d requests", begun, home, n.Calls())
	}
}

// waits checks that f waits for the lock of a sandbox.
func (n *node) waits(t *testing.T, sandbox string, f func()) {
	t.Helper()
	unlock := n.locks.lock(sandbox)
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	plugintest.Eventually(t, "wait for the lock, nor an end without it", func() bool {
		select {
		case <-done:
			t.Error("the lock is not waited for")
			return true
		default:
		}
		users := 0
		n.locks.held.look(sandbox, func(l *lock) { users = l.users })
		return users == 2
	})
	unlock()
	<-done
}

// A move by hand waits for the device's lock.
func TestMoveUnderTheLock(t *testing.T) {
	n := newNode(t, allowAll)
	n.AddNamespace("lab")
	dev, err := n.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	n.waits(t, journal.ManualID(dev.Identity), func() {
		if _, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "lab"}, "lab"); err != nil {
			t.Error(err)
		}
	})
}

// Whatever reads a record to act on it does so under the sandbox's lock.
func TestUnderTheLock(t *testing.T) {
	for name, f := range map[string]func(*node, *testPod){
		"a container": func(n *node, p *testPod) { _ = n.create(t, p) },
		"the sweep":   func(n *node, p *testPod) { n.tendLocked(p.ID) },
		"an attach":   func(n *node, p *testPod) { _ = n.run(t.Context(), p) },
		"a return": func(n *node, p *testPod) {
			_ = n.returnSome(p.ID, byHand, func(netmove.Attachment) bool { return false })
		},
		"an end": func(n *node, p *testPod) { n.returnAll(p.ID, podEnded) },
	} {
		t.Run(name, func(t *testing.T) {
			n, _, pod, _ := holding(t)
			n.waits(t, pod.ID, func() { f(n, pod) })
		})
	}
}

// A bad annotation is no reason to let a container pass, nor to call a pod missed that has none.
func TestGateOfABadAnnotation(t *testing.T) {
	n := newNode(t, allowAll)
	started, fresh := n.pod("a", "- nam: eth1"), n.pod("b", "- nam: eth1")
	n.list([]*testPod{started}, started)
	if err := n.create(t, started); !errors.Is(err, ErrMissed) {
		t.Errorf("a pod with containers: %v", err)
	}
	if err := n.create(t, fresh); err == nil || errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), config.Annotation) {
		t.Errorf("a pod without: %v", err)
	}
	if got := n.Missed(); len(got) != 1 || got[0].Sandbox != started.ID {
		t.Errorf("missed: %+v", got)
	}
	n.told(t, 1, "ERROR missed: the pod runs without the devices that it asks for why="+startedWithout)
	_ = n.create(t, started)
	n.told(t, 1, "ERROR")
}

// Missed pods are listed by their names, not by those of their sandboxes.
func TestMissedAreInOrder(t *testing.T) {
	n := newNode(t, allowAll)
	var pods []*testPod
	for i, name := range []string{"c", "a", "b"} {
		pod := n.pod(name, "- name: eth1")
		pod.ID = string(rune('1' + i))
		pods = append(pods, pod)
	}
	n.list(pods, pods...)
	n.sweep()
	var names []string
	for _, m := range n.Missed() {
		names = append(names, m.Pod)
	}
	if !slices.Equal(names, []string{"default/a", "default/b", "default/c"}) {
		t.Errorf("missed: %q", names)
	}
}

// When a sandbox was first heard of does not change with what is heard of it later.
func TestSinceIsTheFirstTime(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	since := func() (at time.Time) {
		n.memories.look(pod.ID, func(one *memory) { at = one.since })
		return at
	}
	n.list([]*testPod{pod}, pod)
	first := since()
	if first.IsZero() {
		t.Fatal("not noted")
	}
	n.list([]*testPod{pod}, pod)
	if got := since(); got != first {
		t.Errorf("since %v, first %v", got, first)
	}
	n.ageMemories()
	n.list(nil)
	absent := false
	n.memories.look(pod.ID, func(one *memory) { absent = one.absent })
	if !absent {
		t.Error("absent for long, and not noted")
	}
}

// A sandbox that only the runtime's list tells of is found ended by its namespace, which is
// looked at once while it is there.
func TestPlaceOfMemory(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	ns := n.namespaceOf(t, pod)
	pod.Pause = 7
	n.list([]*testPod{pod}, pod)
	n.Fail(1, netmovetest.Before)
	want := place{sandbox: pod.ID, path: pod.NetnsPath, pause: 7}
	if p, ok := n.placeOfMemory(pod.ID); !ok || p != want {
		t.Errorf("a look that fails: %+v, %v", p, ok)
	}
	n.Fail(0, netmovetest.Never)
	want.inode = ns.Inode()
	for range 2 {
		if p, ok := n.placeOfMemory(pod.ID); !ok || p != want {
			t.Errorf("place %+v, %v; want %+v", p, ok, want)
		}
	}
	if got := n.Calls(); got != 1 {
		t.Errorf("looked at %d times", got)
	}
	if _, ok := n.placeOfMemory("unknown"); ok {
		t.Error("an unknown sandbox has a place")
	}
}

// A device is called by its name on the host, its altnames, or the name that tells it from every
// other.
func TestReturnByTheRecognisableName(t *testing.T) {
	n, _, pod, _ := holding(t)
	name := deviceKey(n.recordOf(t, pod).Devices[0])
	if _, err := n.ReturnByHand(Selection{Devices: []string{"eth7"}}); err == nil || err.Error() != `no pod has device "eth7", and it was not moved by hand` {
		t.Errorf("error is %v", err)
	}
	if _, err := n.ReturnByHand(Selection{Sandbox: "none"}); err == nil || err.Error() != `sandbox "none" has no devices` {
		t.Errorf("error is %v", err)
	}
	if r, err := n.ReturnByHand(Selection{Devices: []string{name}}); err != nil || !slices.Equal(r.Devices, []string{"eth1"}) {
		t.Errorf("returned %+v, %v", r, err)
	}
	if r, err := n.ReturnByHand(Selection{All: true}); err != nil || len(r.Devices) > 0 {
		t.Errorf("returned %+v, %v", r, err)
	}
}

// What an earlier process was attaching is not an operator's to return before it is recovered.
func TestReturnByHandBeforeTheRecovery(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	n.crashWhile(t, attachRequests(t, pod.devices), allowAll, func() { _ = n.run(t.Context(), pod) })
	left := n.World.String()
	r, err := n.ReturnByHand(Selection{All: true})
	if err != nil || len(r.Devices) > 0 || len(r.Problems) != 1 || r.Problems[0] != `device "eth1" is being moved right now: try again` {
		t.Errorf("returned %+v, %v", r, err)
	}
	if got := n.World.String(); got != left {
		t.Error("it was returned")
	}
}

// A pod that runs is reported also when what an operator took from it is not home yet, and one
// without containers, or with devices left, is not.
func TestMissedByHand(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	if err := errors.Join(n.run(t.Context(), pod), n.create(t, pod)); err != nil {
		t.Fatal(err)
	}
	n.host.AddDevice(other("eth1"))
	if r, err := n.ReturnByHand(Selection{All: true}); err != nil || len(r.Problems) != 1 {
		t.Errorf("returned %+v, %v", r, err)
	}
	if got := n.Missed(); len(got) != 1 || got[0].Reason != returnedByHand {
		t.Errorf("missed: %+v", got)
	}
	fresh := n.pod("b", "- name: eth2")
	if err := n.run(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ReturnByHand(Selection{Sandbox: fresh.ID}); err != nil {
		t.Error(err)
	}
	two := n.pod("c", "- name: eth2\n- name: eth3\n")
	if err := errors.Join(n.run(t.Context(), two), n.create(t, two)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.ReturnByHand(Selection{Devices: []string{"eth3"}}); err != nil {
		t.Error(err)
	}
	if got := n.Missed(); len(got) != 1 {
		t.Errorf("missed: %+v", got)
	}
}

// Problems of a return by hand come in one line each.
func TestProblemsByHandAreLines(t *testing.T) {
	n, _, _, ns := holding(t)
	n.burden(t, ns, "net1")
	n.host.AddDevice(other("eth1"))
	r, err := n.ReturnByHand(Selection{All: true})
	if err != nil || len(r.Problems) != 1 || strings.Contains(r.Problems[0], "\n") {
		t.Errorf("returned %+v, %v", r, err)
	}
}

// Only a faster attach than any before lowers the estimate.
func TestEstimateIsTheFastest(t *testing.T) {
	var e estimate
	for _, tc := range []struct{ took, need time.Duration }{{2 * time.Second, 2 * time.Second}, {3 * time.Second, 2 * time.Second}, {time.Second, time.Second}} {
		e.measured(devicesOf("ice", 1), tc.took)
		if err := e.fits(devicesOf("ice", 1), tc.need); err != nil {
			t.Error(err)
		}
		err := e.fits(devicesOf("ice", 2), 2*tc.need-time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "moving 2 devices takes "+(2*tc.need).String()+" or more on this node and the runtime leaves") {
			t.Errorf("error is %v", err)
		}
	}
}
