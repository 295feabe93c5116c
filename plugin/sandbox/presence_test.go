package sandbox

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// A device vanishes from a pod that runs: its peer was deleted, its VF removed, or the pod
// deleted it. It is lost, once, everywhere; its name is free; the pod gets no more
// containers.
func TestDeviceVanishesFromRunningPod(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
	if err := errors.Join(n.run(t.Context(), pod), n.create(t, pod)); err != nil {
		t.Fatal(err)
	}
	n.namespaceOf(t, pod).Remove("net1")
	n.sweep()
	if state, _ := n.stateOf(t, "eth1"); state != StateAttached {
		t.Errorf("one look was enough: eth1 is %s", state)
	}
	for range 3 {
		n.sweep()
	}
	if state, problem := n.stateOf(t, "eth1"); state != StateLost || problem != goneFromPod {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
	if state, _ := n.stateOf(t, "eth2"); state != StateAttached {
		t.Errorf("eth2 is %s", state)
	}
	if got := n.seen.of("lost"); got != 1 {
		t.Errorf("counted %d times", got)
	}
	err := n.create(t, pod)
	if !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), `device "eth1": `+goneFromPod) {
		t.Errorf("the next container: %v", err)
	}
	n.host.Add(netmove.Snapshot{Name: "eth1", MTU: 1500})
	if err := n.run(t.Context(), n.pod("b", "- name: eth1")); err != nil {
		t.Errorf("its name is free, but: %v", err)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got := n.seen.of("lost"); got != 1 {
		t.Errorf("counted %d times after the pod's end", got)
	}
	if r, ok := n.journal.Get(pod.ID); !ok || len(r.Lost) != 1 || len(r.Devices) != 0 {
		t.Errorf("record: %+v", r)
	}
}

// The pod takes a device to a namespace of its own and back again.
func TestDeviceIsBackInThePod(t *testing.T) {
	n, before, pod, ns := holding(t)
	_, back := n.astray(t, ns, "net1")
	n.sweeps(looksInVain)
	if state, _ := n.stateOf(t, "eth1"); state != StateLost {
		t.Fatalf("eth1 is %s", state)
	}
	back()
	n.sweep()
	if state, problem := n.stateOf(t, "eth1"); state != StateAttached || problem != "" {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
	if err := n.create(t, pod); err != nil {
		t.Errorf("a container: %v", err)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
}

// A device that is lost while the pod runs, and that the pod has again at its end, comes home.
func TestLostDeviceComesHomeAtTheEnd(t *testing.T) {
	n, before, pod, ns := holding(t)
	_, back := n.astray(t, ns, "net1")
	n.sweeps(looksInVain)
	back()
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
}

// What cannot be told is no reason to call a device lost: a look that fails, a namespace that
// cannot be opened.
func TestUncertainLooksLoseNothing(t *testing.T) {
	for step := 1; ; step++ {
		n, _, _, _ := holding(t)
		for range 4 {
			n.Fail(step, netmovetest.Before)
			n.sweep()
		}
		calls := n.Calls()
		n.Fail(0, netmovetest.Never)
		if state, problem := n.stateOf(t, "eth1"); state != StateAttached {
			t.Errorf("step %d: eth1 is %s: %s", step, state, problem)
		}
		if calls < step {
			if step < 4 {
				t.Errorf("a look took only %d requests", step-1)
			}
			return
		}
	}
}

// Somebody on the node has moved a device home, past the program: it is restored, and the
// pod is told.
func TestDeviceIsMovedHomeByOthers(t *testing.T) {
	n, _, pod, ns := holding(t)
	if err := n.create(t, pod); err != nil {
		t.Fatal(err)
	}
	dev, err := ns.ByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Move(dev.Identity.Index, n.host, "wild", 0); err != nil {
		t.Fatal(err)
	}
	n.sweep()
	if got, err := n.host.ByName("eth1"); err != nil || !got.Flags.Up {
		t.Errorf("the host has %+v, %v", got, err)
	}
	if got := n.records(t); len(got) > 0 {
		t.Errorf("records: %q", got)
	}
	if got := n.Missed(); len(got) != 1 || got[0].Reason != cameHome {
		t.Errorf("missed: %+v", got)
	}
}

// An operator ends the record of a device that a pod has lost and that runs: the pod gets no
// more containers nevertheless.
func TestReturnOfTheLostFromRunningPod(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
	if err := errors.Join(n.run(t.Context(), pod), n.create(t, pod)); err != nil {
		t.Fatal(err)
	}
	n.namespaceOf(t, pod).Remove("net1")
	for range looksInVain {
		n.sweep()
	}
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Problems) != 1 {
		t.Errorf("returned %+v, %v", r, err)
	}
	if r, ok := n.journal.Get(pod.ID); !ok || len(r.Lost) > 0 || len(r.Devices) != 1 {
		t.Errorf("record: %+v", r)
	}
	if err := n.create(t, pod); !errors.Is(err, ErrMissed) {
		t.Errorf("the next container: %v", err)
	}
}

// What a pod lacks already is told beside what vanishes from it.
func TestDeviceVanishesFromAPodThatLacksAnother(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1\n- name: eth2\n- name: eth3\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Devices) != 1 {
		t.Fatal(r, err)
	}
	n.namespaceOf(t, pod).Remove("eth2")
	n.sweeps(looksInVain)
	err := n.create(t, pod)
	if !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), `"eth1"`) || !strings.Contains(err.Error(), `"eth2"`) {
		t.Errorf("the next container: %v", err)
	}
}

// A device vanishes while the record cannot be written: both are told.
func TestDeviceVanishesWithTheDisk(t *testing.T) {
	n, _, pod, ns := holding(t)
	ns.Remove("net1")
	n.breakJournal()
	n.sweeps(looksInVain)
	n.told(t, 1, "ERROR device is lost while the pod runs")
	n.told(t, 1, "ERROR cannot write the record")
	n.mendJournal()
	if r := n.recordOf(t, pod); len(r.Lost) != 1 {
		t.Errorf("record: %+v", r)
	}
}

// lostHardware is a node whose hardware is in a namespace that the pod made, and lost.
func lostHardware(t *testing.T) (n *node, pod *testPod, nested *netmovetest.Namespace) {
	t.Helper()
	n = newNode(t, allowAll)
	n.hardware()
	pod = n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	ns := n.namespaceOf(t, pod)
	nested = n.AddNamespace("pod-nested")
	if err := ns.Move(index(t, ns, "net1"), nested, "eth7", 0); err != nil {
		t.Fatal(err)
	}
	n.End(pod.ID)
	for range enoughTries {
		n.sweep()
	}
	if state, _ := n.stateOf(t, "eth1"); state != StateLost {
		t.Fatalf("eth1 is %q", state)
	}
	return n, pod, nested
}

// Invariant: hardware that is lost stays on record until the node boots. It comes home under
// a name that policy must not see, however much later, and whatever a person or the clock
// says.
func TestLostHardwareIsRemembered(t *testing.T) {
	n, pod, nested := lostHardware(t)
	n.Sleep(1)
	n.sweep()
	n.Sleep(100 * lostKept)
	n.sweep()
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Problems) != 1 {
		t.Errorf("returned by hand: %+v, %v", r, err)
	}
	n.told(t, 1, "ERROR device is lost")
	n.EndProcess()
	n.start(t, allowAll)
	n.Recover()
	n.sweep()
	if _, ok := n.journal.Get(pod.ID); !ok {
		t.Fatal("it is forgotten")
	}
	in, err := nested.ByName("eth7")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(nested.SetMAC(in.Identity.Index, netmove.MAC{6, 6, 6, 6, 6, 6}), nested.Move(in.Identity.Index, n.host, "eth7", 0)); err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), n.pod("b", "- name: eth7")); err == nil {
		t.Error("given out under the foreign name")
	}
	n.sweep()
	if dev, err := n.host.ByName("eth1"); err != nil || dev.MAC.String() == "06:06:06:06:06:06" {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records: %q", left)
	}
	if got := n.seen.of("returned"); got != 1 {
		t.Errorf("counted %d times", got)
	}
}

// The record of a lost virtual device is kept for people for a day, by the time since boot.
func TestLostVirtualDeviceIsForgotten(t *testing.T) {
	n, _, pod, ns := holding(t)
	ns.Remove("net1")
	n.End(pod.ID)
	for range enoughTries {
		n.sweep()
	}
	n.Sleep(1)
	n.sweep()
	n.Sleep(lostKept - 1)
	n.sweep()
	if _, ok := n.journal.Get(pod.ID); !ok {
		t.Error("it is forgotten early")
	}
	n.Sleep(1)
	n.sweep()
	n.sweep()
	if _, ok := n.journal.Get(pod.ID); ok {
		t.Error("it is kept for good")
	}
	if left := n.memories.keys(); len(left) > 0 {
		t.Errorf("remembered: %q", left)
	}
}

// A pod that deletes its device and starts again, for ever, does not fill the journal.
func TestLostDevicesAreBounded(t *testing.T) {
	n := newNode(t, allowAll)
	const more = 4
	for i := range mostLost + more {
		n.host.Add(netmove.Snapshot{Name: "eth7", MTU: 1500})
		pod := n.pod(fmt.Sprintf("%04d", i), "- name: eth7")
		if err := n.run(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		n.namespaceOf(t, pod).Remove("eth7")
		n.End(pod.ID)
		for range enoughTries {
			n.returnAll(pod.ID, unfinished)
		}
	}
	n.sweep()
	if got := len(n.journal.All()); got != mostLost {
		t.Errorf("%d records, want %d", got, mostLost)
	}
	if _, ok := n.journal.Get("sandbox-0000"); ok {
		t.Error("the oldest is kept")
	}
}
