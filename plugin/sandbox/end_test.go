package sandbox

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// holding is a node with a pod that has eth1, and the pod's namespace.
func holding(t *testing.T) (n *node, before string, pod *testPod, ns *netmovetest.Namespace) {
	t.Helper()
	n = newNode(t, allowAll)
	before = hostOnly(n.World.String())
	pod = n.pod("a", "- {name: eth1, newName: net1}")
	opened, err := n.OpenNamespace("pod-a")
	if err != nil {
		t.Fatal(err)
	}
	ns = opened.(*netmovetest.Namespace)
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	pod.Pause = int(ns.Inode()) // as the kernel in memory has it
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return n, before, pod, ns
}

// age makes the attach of every sandbox so long ago that its absence from a
// list counts.
func (n *node) age(t *testing.T) {
	t.Helper()
	if err := n.rewrite(); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes every record.
func (n *node) rewrite() error {
	var errs []error
	for _, r := range n.journal.All() {
		old := *r
		old.Since = time.Now().Add(-2 * absenceCounts)
		errs = append(errs, n.journal.Put(&old))
	}
	return errors.Join(errs...)
}

// What looks like the end of a pod, and what it is.
func TestSignsOfAnEnd(t *testing.T) {
	synchronize := func(n *node, pods ...*testPod) { n.list(pods) }
	for _, tc := range []struct {
		name    string
		happens func(*testing.T, *node, *testPod, *netmovetest.Namespace)
		ends    bool
	}{
		{"nothing", func(*testing.T, *node, *testPod, *netmovetest.Namespace) {}, false},
		{"the file is gone, a process is left", func(_ *testing.T, n *node, _ *testPod, _ *netmovetest.Namespace) {
			n.RemoveNamespace("pod-a")
		}, false},
		{"the file means another namespace, a process is left", func(_ *testing.T, n *node, _ *testPod, _ *netmovetest.Namespace) {
			n.AddNamespace("pod-a")
		}, false},
		{"absent from the list, a process is left", func(t *testing.T, n *node, _ *testPod, _ *netmovetest.Namespace) {
			n.age(t)
			synchronize(n)
		}, false},
		{"absent from a list that lags, no process yet", func(t *testing.T, n *node, pod *testPod, ns *netmovetest.Namespace) {
			n.forgetPause(t)
			ns.Leave()
			synchronize(n)
		}, false},
		{"no process yet, pause not told", func(t *testing.T, n *node, pod *testPod, ns *netmovetest.Namespace) {
			n.forgetPause(t)
			ns.Leave()
			n.age(t)
			synchronize(n, pod)
		}, false},
		{"absent from the list, no process", func(t *testing.T, n *node, _ *testPod, ns *netmovetest.Namespace) {
			n.forgetPause(t)
			ns.Leave()
			n.age(t)
			synchronize(n)
		}, true},
		{"pause is gone, no process", func(_ *testing.T, _ *node, _ *testPod, ns *netmovetest.Namespace) {
			ns.Leave()
		}, true},
		{"the file is gone, no process", func(t *testing.T, n *node, _ *testPod, ns *netmovetest.Namespace) {
			n.forgetPause(t)
			ns.Leave()
			n.RemoveNamespace("pod-a")
		}, true},
		{"the file means another namespace, no process", func(t *testing.T, n *node, _ *testPod, ns *netmovetest.Namespace) {
			n.forgetPause(t)
			ns.Leave()
			n.AddNamespace("pod-a")
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, before, pod, ns := holding(t)
			tc.happens(t, n, pod, ns)
			n.sweep()
			if len(n.records(t)) == 0 {
				t.Fatal("one look was enough")
			}
			for range 3 {
				n.sweep()
			}
			if ended := len(n.records(t)) == 0; ended != tc.ends {
				t.Errorf("taken for the end: %v, want %v", ended, tc.ends)
			}
			if tc.ends {
				if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
					t.Errorf("the host differs (-want +got):\n%s", diff)
				}
			} else if _, err := ns.ByName("net1"); err != nil {
				t.Errorf("the pod was robbed: %v", err)
			}
		})
	}
}

// Without the host's pid namespace every pod looks dead, and none is robbed.
func TestBlindPlugin(t *testing.T) {
	n, _, pod, ns := holding(t)
	n.ends.seeRuntime(0)
	ns.Leave()
	n.RemoveNamespace("pod-a")
	for range 4 {
		n.sweep()
	}
	if _, err := ns.ByName("net1"); err != nil {
		t.Errorf("the pod was robbed: %v", err)
	}
	next := n.pod("b", "- name: eth1")
	next.Pod.UID = pod.Pod.UID
	if err := n.run(t.Context(), next); err == nil {
		t.Error("a new sandbox robbed the old one")
	}
	// A hook is proof enough.
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if len(n.records(t)) > 0 {
		t.Error("the device did not come home")
	}
}

// forgetPause makes the records those of a runtime that tells no pid.
func (n *node) forgetPause(t *testing.T) {
	t.Helper()
	for _, r := range n.journal.All() {
		c := *r
		c.Netns.Pause = 0
		if err := n.journal.Put(&c); err != nil {
			t.Fatal(err)
		}
	}
}

// A pin, or the runtime's path, may mean another namespace by now. No device
// of that is touched.
func TestPathsAreNotTrusted(t *testing.T) {
	n, before, pod, ns := holding(t)
	r, _ := n.journal.Get(pod.ID)
	other := n.AddNamespace("pod-a")
	if err := n.Pin(other, n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	got, done, err := n.pins.namespace(r)
	if err != nil || got != nil {
		t.Errorf("a foreign namespace is taken for the pod's: %v, %v", err, done())
	}
	// By the time of the return the right one is there again.
	if err := n.Pin(ns, n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
}

// A pin that somebody has unmounted is made again.
func TestPinIsRenewed(t *testing.T) {
	n, _, pod, _ := holding(t)
	path := n.pins.path(pod.ID)
	if err := n.Unpin(path); err != nil {
		t.Fatal(err)
	}
	n.sweep()
	if _, err := n.InodeAt(path); err != nil {
		t.Errorf("no pin: %v", err)
	}
}

// A new sandbox of the same pod gets the devices of the old one only if that
// is at its end.
func TestNewSandboxOfTheSamePod(t *testing.T) {
	for _, alive := range []bool{true, false} {
		n, _, pod, ns := holding(t)
		next := n.pod("b", "- {name: eth1, newName: net1}")
		next.Pod.UID = pod.Pod.UID
		if !alive {
			ns.Leave()
		}
		err := n.run(t.Context(), next)
		if got := err == nil; got == alive {
			t.Errorf("old sandbox alive: %v, error %v", alive, err)
		}
		r, ok := n.journal.Get(pod.ID)
		if ok != alive || (ok && r.State != journal.Attached) {
			t.Errorf("old sandbox alive: %v, its record: %+v", alive, r)
		}
	}
}

// An earlier sandbox of the pod that is not at rest keeps its devices, whatever its namespace
// looks like.
func TestNewSandboxWhileTheOldAttaches(t *testing.T) {
	n, _, pod, ns := holding(t)
	r := *n.recordOf(t, pod)
	r.State = journal.Attaching
	if err := n.journal.Put(&r); err != nil {
		t.Fatal(err)
	}
	next := n.pod("b", "- {name: eth1, newName: net1}")
	next.Pod.UID = pod.Pod.UID
	ns.Leave()
	if err := n.run(t.Context(), next); err == nil || !strings.Contains(err.Error(), "in use by pod default/a") {
		t.Errorf("error is %v", err)
	}
}

// The sweep is returning the devices of the old sandbox when the new one asks for
// them: that waits.
func TestNewSandboxWhileTheOldReturns(t *testing.T) {
	n, _, pod, ns := holding(t)
	next := n.pod("b", "- {name: eth1, newName: net1}")
	next.Pod.UID = pod.Pod.UID
	ns.Leave()
	n.RemoveNamespace("pod-a")
	n.sweep() // the first proof
	unblock := n.Block()
	var wg sync.WaitGroup
	wg.Go(func() { n.sweep() })
	plugintest.Eventually(t, "return", func() bool {
		r, ok := n.journal.Get(pod.ID)
		return ok && r.State == journal.Returning
	})
	refused := make(chan error)
	go func() { refused <- n.run(t.Context(), next) }()
	time.Sleep(10 * time.Millisecond) // to get as far as it can
	unblock()
	if err := <-refused; err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// Pods without a uid, which a CRI client need not give, are not the same pod; nor
// are they who moved a device by hand.
func TestPodsWithoutUID(t *testing.T) {
	n := newNode(t, allowAll)
	lab := n.AddNamespace("lab")
	if _, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "lab"}, "lab"); err != nil {
		t.Fatal(err)
	}
	lab.Leave()
	pod := n.pod("a", "- name: eth1")
	pod.Pod.UID = ""
	if err := n.run(t.Context(), pod); err == nil {
		t.Error("the pod got a device that is moved by hand")
	}
	if state, problem := n.stateOf(t, "eth1"); state != StateAttached || problem != "" {
		t.Errorf("eth1 is %s: %s", state, problem)
	}
}

// hardware makes eth1 a piece of hardware, which the kernel brings home from
// a namespace that dies.
func (n *node) hardware() {
	n.host.Remove("eth1")
	n.host.Add(netmove.Snapshot{
		Name: "eth1", MTU: 1500, Flags: netmove.LinkFlags{Up: true}, Altnames: []string{"alt-eth1"},
		Identity: netmove.Identity{Parent: "0000:02:00.0", Bus: "pci"},
	})
}

// A pod takes its device to a namespace of its own, which dies: the kernel
// brings the device home under a name that policy must not see.
func TestHardwareStraysHome(t *testing.T) {
	n := newNode(t, allowAll)
	n.hardware()
	before := hostOnly(n.World.String())
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	ns, err := n.OpenNamespace("pod-a")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := ns.ByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Move(dev.Identity.Index, n.host, "eth7", 0); err != nil { // as the kernel does
		t.Fatal(err)
	}
	if err := n.host.Rename(dev.Identity.Index, "eth7"); err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), n.pod("b", "- name: eth7")); err == nil || !strings.Contains(err.Error(), "in use by pod default/a") {
		t.Errorf("error is %v", err)
	}
	n.sweep()
	if got, err := n.host.ByName("eth1"); err != nil || !got.Flags.Up {
		t.Errorf("eth1 is %+v, %v", got, err)
	}
	if r, _ := n.journal.Get(pod.ID); r.State != journal.Attached || len(r.Devices) != 1 || r.Devices[0].Before.Name != "eth2" {
		t.Errorf("record is %+v", r)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutIndexes(before), withoutIndexes(hostOnly(n.World.String()))); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
}

// withoutIndexes leaves out the ifindex, which a device that is home already
// cannot have back, and the order that depends on it: a string for each device.
func withoutIndexes(world string) []string {
	devices := regexp.MustCompile(`(?m)^  \d+ `).Split(world, -1)
	slices.Sort(devices)
	return devices
}

// The pod's namespace died without a pin while nobody looked: hardware is home
// under the pod's name, or dev<N>, and gets its own back.
func TestNamespaceDiedUnpinned(t *testing.T) {
	for _, taken := range []bool{false, true} {
		n := newNode(t, allowAll)
		n.hardware()
		before := hostOnly(n.World.String())
		pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
		if err := n.run(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		n.EndProcess()
		opened, err := n.OpenNamespace("pod-a")
		if err != nil {
			t.Fatal(err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
		if taken {
			n.host.Add(netmove.Snapshot{Name: "net1"})
		}
		if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
			t.Fatal(err)
		}
		opened.(*netmovetest.Namespace).Leave()
		n.RemoveNamespace("pod-a")
		n.start(t, allowAll)
		n.Recover()
		for range 1 + enoughTries {
			n.sweep()
		}
		n.host.Remove("net1")
		// The virtual device died with the namespace, and is on record.
		r, ok := n.journal.Get(pod.ID)
		if !ok || r.State != journal.Lost || len(r.Lost) != 1 || r.Lost[0].Before.Name != "eth2" {
			t.Errorf("record is %+v", r)
		}
		want := slices.DeleteFunc(withoutIndexes(before), func(device string) bool { return strings.HasPrefix(device, "eth2 ") })
		if diff := cmp.Diff(want, withoutIndexes(hostOnly(n.World.String()))); diff != "" {
			t.Errorf("the host differs (-want +got):\n%s", diff)
		}
	}
}

// What cannot be told of a place is no sign of an end and no proof of one.
func TestPlaces(t *testing.T) {
	n, _, pod, ns := holding(t)
	here := placeOf(n.recordOf(t, pod))
	change := func(edit func(*place)) place { p := here; edit(&p); return p }
	left := n.AddNamespace("left")
	left.Leave()
	for _, tc := range []struct {
		name  string
		of    func(place) bool
		at    place
		fails bool
		want  bool
	}{
		{"file is there", n.ends.fileGone, here, false, false},
		{"file is gone", n.ends.fileGone, change(func(p *place) { p.path = "nowhere" }), false, true},
		{"file is another", n.ends.fileGone, change(func(p *place) { p.path = "left" }), false, true},
		{"file cannot be told", n.ends.fileGone, here, true, false},
		{"pause is there", n.ends.pauseGone, here, false, false},
		{"pause is not told", n.ends.pauseGone, change(func(p *place) { p.pause = 0 }), false, false},
		{"pause is another namespace's", n.ends.pauseGone, change(func(p *place) { p.pause++ }), false, true},
		{"pause cannot be told", n.ends.pauseGone, change(func(p *place) { p.pause++ }), true, false},
		{"occupied", n.ends.empty, here, false, false},
		{"empty", n.ends.empty, change(func(p *place) { p.inode = left.Inode() }), false, true},
		{"cannot be told", n.ends.empty, change(func(p *place) { p.inode = left.Inode() }), true, false},
		{"never seen", n.ends.empty, change(func(p *place) { p.inode = 0 }), false, false},
	} {
		if tc.fails {
			n.FailFrom(1)
		}
		if got := tc.of(tc.at); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		n.Fail(0, netmovetest.Never)
	}
	ns.Leave()
	if !n.ends.empty(here) {
		t.Error("nobody is left, and it is not empty")
	}
	n.SeeRuntime(0)
	n.SeeRuntime(0)
	if n.ends.empty(here) {
		t.Error("taken for empty by a plugin that sees no processes")
	}
	n.told(t, 1, "WARN the runtime's process cannot be seen")
	n.SeeRuntime(1)
	if !n.ends.empty(here) {
		t.Error("the runtime is seen again, and not its pods")
	}
}

// A sign of the end that is not seen again counts for nothing: proofs have to follow each other.
func TestProofsInARow(t *testing.T) {
	n, _, pod, ns := holding(t)
	for range 3 {
		ns.Leave()
		n.sweep()
		ns.Enter()
		n.sweep()
	}
	if r := n.recordOf(t, pod); r.State != journal.Attached {
		t.Errorf("record: %+v", r)
	}
}
