package sandbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// dear are annotations of 64 KiB, the most that there may be, that take long to read.
func dear() map[string]string {
	return map[string]string{
		"valid, and asks for nothing": "[" + strings.Repeat("#\n", 32767) + "]",
		"invalid":                     "[{" + strings.Repeat("a,", 32764) + "}]",
	}
}

// Whatever pods write into their annotations, the runtime's list is only stored; the
// sweep reads them, a few at a time, each once.
func TestListReadsNothing(t *testing.T) {
	for name, text := range dear() {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, allowAll)
			var pods []*testPod
			for i := range 12 {
				pods = append(pods, n.pod(fmt.Sprint(i), text))
			}
			n.list(pods, pods...)
			if got := n.unreadLeft(); got != len(pods) {
				t.Errorf("%d of %d annotations are left for the sweep", got, len(pods))
			}
			looks := 1
			for n.sweep(); n.unreadLeft() > 0 && looks <= len(pods); looks++ {
				if left := n.unreadLeft(); !n.sweep() && n.unreadLeft() > 0 {
					t.Fatalf("the sweep does not come back soon for %d annotations", left)
				}
			}
			if looks == 1 || n.unreadLeft() > 0 {
				t.Errorf("after %d looks %d annotations are left", looks, n.unreadLeft())
			}
			want := len(pods)
			if name != "invalid" {
				want = 0
			}
			if got := len(n.Missed()); got != want {
				t.Errorf("%d pods are missed, want %d", got, want)
			}
			if err := n.run(t.Context(), n.pod("next", "- name: eth1")); err != nil {
				t.Errorf("another pod: %v", err)
			}
		})
	}
}

// unreadLeft counts the annotations that the sweep has not read.
func (n *node) unreadLeft() (left int) {
	for _, id := range n.memories.keys() {
		n.memories.look(id, func(one *memory) {
			if one.unread != nil {
				left++
			}
		})
	}
	return left
}

// A list is not read for pods that have their devices, nor for those without a container,
// and such pods are not missed.
func TestListOfPodsThatAreWell(t *testing.T) {
	n := newNode(t, allowAll)
	attached, waiting, stopped := n.pod("a", "- name: eth1"), n.pod("b", "- name: eth2"), n.pod("c", "- name: eth3")
	stopped.NetnsPath = ""
	if err := n.run(t.Context(), attached); err != nil {
		t.Fatal(err)
	}
	all := []*testPod{attached, waiting, stopped}
	n.list(all, attached, stopped)
	n.sweep()
	if got := n.Missed(); len(got) > 0 || n.unreadLeft() > 0 {
		t.Errorf("missed %+v, unread %d", got, n.unreadLeft())
	}
	if err := n.create(t, waiting); err != nil {
		t.Errorf("a pod without a container yet: %v", err)
	}
}

// While an attach is under way, or its undo, it is not settled whether a pod is missed.
func TestListWhileAPodIsAtWork(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	taken := n.host.AddDevice(other("eth1"))
	if r, err := n.ReturnByHand(Selection{Sandbox: pod.ID}); err != nil || len(r.Problems) != 1 { // it waits for the name
		t.Fatal(r, err)
	}
	n.list([]*testPod{pod}, pod)
	n.sweep()
	if got := n.Missed(); len(got) > 0 {
		t.Errorf("missed while its devices are on their way: %+v", got)
	}
	if err := n.host.Delete(taken.Identity.Index); err != nil {
		t.Fatal(err)
	}
	n.sweep()
	n.sweep()
	if got := n.Missed(); len(got) != 1 || got[0].Reason != startedWithout {
		t.Errorf("missed %+v", got)
	}
}

// A pod that runs without its devices is reported until it has ended, whoever tells of
// that, or nobody.
func TestMissedEndsWithThePod(t *testing.T) {
	for name, end := range map[string]func(*node, *testPod, *netmovetest.Namespace){
		"a hook": func(n *node, pod *testPod, _ *netmovetest.Namespace) { n.End(pod.ID) },
		"nobody: file and processes are gone": func(n *node, _ *testPod, ns *netmovetest.Namespace) {
			ns.Leave()
			n.RemoveNamespace("pod-a")
		},
		"nobody: the pause process is gone": func(_ *node, _ *testPod, ns *netmovetest.Namespace) { ns.Leave() },
		"a list": func(n *node, _ *testPod, ns *netmovetest.Namespace) {
			n.ageMemories()
			n.list(nil)
			ns.Leave()
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, allowAll)
			pod := n.pod("a", "- name: eth1")
			ns := n.namespaceOf(t, pod)
			pod.Pause = int(ns.Inode())
			if name == "a list" {
				pod.Pause = 0
			}
			n.list([]*testPod{pod}, pod)
			n.sweep()
			n.sweep()
			if got := n.Missed(); len(got) != 1 || got[0].Pod != "default/a" || got[0].Sandbox != pod.ID {
				t.Fatalf("missed: %+v", got)
			}
			end(n, pod, ns)
			for range proofsNeeded {
				n.sweep()
			}
			if got := n.Missed(); len(got) > 0 {
				t.Errorf("missed after its end: %+v", got)
			}
			if left := n.memories.keys(); len(left) > 0 {
				t.Errorf("remembered: %q", left)
			}
		})
	}
}

// What one look, or a pod that runs, may show is not taken for the end.
func TestMissedWhileThePodRuns(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	ns := n.namespaceOf(t, pod)
	n.list([]*testPod{pod}, pod)
	ns.Leave() // a container is about to start, and nothing is gone
	for range 2 * proofsNeeded {
		n.sweep()
	}
	if got := n.Missed(); len(got) != 1 {
		t.Errorf("missed between two containers: %+v", got)
	}
	ns.Enter()
	n.RemoveNamespace("pod-a") // its processes are left
	for range 2 * proofsNeeded {
		n.sweep()
	}
	if got := n.Missed(); len(got) != 1 {
		t.Errorf("missed: %+v", got)
	}
	ns.Leave()
	n.sweep()
	if got := n.Missed(); len(got) != 1 {
		t.Error("one look was enough")
	}
}

// Invariant: a fact about a sandbox ends with the sandbox. Whatever 2,000 sandboxes were, what is kept of them is gone with them.
func TestNothingGrows(t *testing.T) {
	n := newNode(t, allowAll)
	before := n.World.String()
	const sandboxes = 2_000
	for i := range sandboxes {
		pod := n.pod(fmt.Sprint(i), "- {name: eth1, newName: net1}")
		ns := n.namespaceOf(t, pod)
		pod.Pause = int(ns.Inode())
		switch kind := i % 100; {
		case kind == 0: // an ordinary life, without a carrier
			pod.devices = "- {name: eth1, newName: net1, addresses: [192.0.2.5/24]}"
			_ = n.run(t.Context(), pod)
			_ = n.create(t, pod)
		case kind == 1: // comes home under another name first
			_ = n.run(t.Context(), pod)
			taken := n.host.AddDevice(other("eth1"))
			n.End(pod.ID)
			_ = n.host.Delete(taken.Identity.Index)
		case kind < 40: // refused, and asked again
			pod.devices = "- name: eth7"
			_ = n.run(t.Context(), pod)
			_ = n.create(t, pod)
		default: // runs without
			n.list([]*testPod{pod}, pod)
			_ = n.create(t, pod)
		}
		if i%3 == 0 {
			n.End(pod.ID)
		}
		ns.Leave()
		n.RemoveNamespace("pod-" + fmt.Sprint(i))
		if i%50 == 49 {
			n.sweep()
		}
	}
	n.ageMemories()
	n.list(nil) // of what was never seen, only the runtime can tell the end
	for range proofsNeeded + enoughTries {
		n.sweep()
	}
	for what, left := range map[string][]string{
		"memories": n.memories.keys(), "locks": n.locks.held.keys(), "pins": n.pins.held.keys(), "altered": n.altered.keys(),
		"announcements": n.announcements.keys(),
	} {
		if len(left) > 0 {
			t.Errorf("%d %s are left after %d sandboxes, such as %s", len(left), what, sandboxes, left[0])
		}
	}
	n.host.Renumber()
	n.asBefore(t, before)
}

// A pod ends whose annotation the sweep has not read yet, and is in a list that lags: it is not
// missed when its record is gone.
func TestEndIsNotMissed(t *testing.T) {
	for name, end := range map[string]func(*node, *testPod, *netmovetest.Namespace){
		"by a hook": func(n *node, pod *testPod, _ *netmovetest.Namespace) { n.End(pod.ID) },
		"seen by the sweep": func(n *node, _ *testPod, ns *netmovetest.Namespace) {
			ns.Leave()
			n.sweeps(proofsNeeded)
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, _, pod, ns := holding(t)
			if err := n.create(t, pod); err != nil {
				t.Fatal(err)
			}
			n.list([]*testPod{pod}, pod)
			looked := false
			n.log.Hook = func(line string) {
				if strings.HasPrefix(line, "INFO devices returned") {
					looked = true
					n.reconcile()
					n.list([]*testPod{pod}, pod)
					n.reconcile()
				}
			}
			end(n, pod, ns)
			n.log.Hook = nil
			n.reconcile()
			if !looked {
				t.Error("the return was not logged")
			}
			n.told(t, 0, "ERROR missed")
			if left := n.memories.keys(); len(left) > 0 {
				t.Errorf("remembered: %q", left)
			}
		})
	}
}

// The devices of a pod come home after its end, and processes are left in its namespace: it is
// forgotten with its record.
func TestForgottenWithTheRecord(t *testing.T) {
	n, _, pod, _ := holding(t)
	if err := n.create(t, pod); err != nil {
		t.Fatal(err)
	}
	taken := n.host.AddDevice(other("eth1"))
	n.End(pod.ID)
	n.sweep()
	if left := n.memories.keys(); len(left) != 1 {
		t.Errorf("remembered beside the record: %q", left)
	}
	if err := n.host.Delete(taken.Identity.Index); err != nil {
		t.Fatal(err)
	}
	n.Sleep(sweepEvery)
	n.sweep()
	if left := n.memories.keys(); len(left) > 0 || len(n.records(t)) > 0 {
		t.Errorf("remembered: %q, records: %q", left, n.records(t))
	}
}

// The file of a pod's namespace is never seen, as where the folder is not mounted into the
// plugin's container: only the runtime's list tells that the pod has ended.
func TestMissedOfANamespaceNeverSeen(t *testing.T) {
	for _, runtime := range []int32{0, 1} { // seen or not
		n := newNode(t, allowAll)
		n.SeeRuntime(runtime)
		pod := n.pod("a", "- name: eth1")
		pod.NetnsPath, pod.Pause = "nowhere", 7
		n.list([]*testPod{pod}, pod)
		for range 2 * proofsNeeded {
			n.sweep()
		}
		if got := n.Missed(); len(got) != 1 {
			t.Errorf("missed: %+v", got)
		}
		n.ageMemories()
		n.list(nil)
		for range proofsNeeded {
			n.sweep()
		}
		if got := n.Missed(); len(got) > 0 {
			t.Errorf("missed after its end: %+v", got)
		}
	}
}

// A device is missed once, and then the pod ends: the sweep does not go on to look often.
func TestMissingEndsWithThePod(t *testing.T) {
	n, _, pod, ns := holding(t)
	ns.Remove("net1")
	if !n.sweep() {
		t.Error("the next look is not soon")
	}
	n.End(pod.ID)
	if n.unsure() {
		t.Error("looks stay soon after the pod's end")
	}
}
