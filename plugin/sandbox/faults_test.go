package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

const twoDevices = "- {name: eth1, newName: net1, mtu: 9000}\n- {name: eth2, newName: net2}\n"

// breakJournal makes every access to the records fail, until mendJournal.
func (n *node) breakJournal() {
	folder := filepath.Join(n.state, "sandboxes")
	if errors.Join(os.Rename(folder, folder+".away"), os.WriteFile(folder, nil, 0o600)) != nil {
		panic("the journal cannot be broken")
	}
}

func (n *node) mendJournal() {
	folder := filepath.Join(n.state, "sandboxes")
	if errors.Join(os.Remove(folder), os.Rename(folder+".away", folder)) != nil {
		panic("the journal cannot be mended")
	}
}

// hasAll checks that the pod has the devices of twoDevices, up, that they are published as
// attached and that the disk says so, and that the namespace is kept alive.
func (n *node) hasAll(t *testing.T, p *testPod) {
	t.Helper()
	ns := n.namespaceOf(t, p)
	for _, name := range []string{"net1", "net2"} {
		if dev, err := ns.ByName(name); err != nil || !dev.Flags.Up || name == "net1" && dev.MTU != 9000 {
			t.Errorf("%s in the pod: %+v, %v", name, dev, err)
		}
	}
	r, ok := n.journal.Get(p.ID)
	if !ok || r.State != journal.Attached || !r.Committed || len(r.Devices) != 2 {
		t.Errorf("record: %+v", r)
	}
	if got := n.onDisk(t, p); got != "attached" {
		t.Errorf("the pod has its devices, and the disk says %q", got)
	}
	if _, err := n.InodeAt(n.pins.path(p.ID)); err != nil && n.pins.kept(p.ID) == nil {
		t.Errorf("the namespace is not kept alive: %v", err)
	}
}

// nobodys checks that no device is away, or home and not as it was, without a record.
func (n *node) nobodys(t *testing.T, before string) {
	t.Helper()
	host := hostOnly(n.World.String())
	for inode, name := range map[uint64]string{1002: "eth1", 1003: "eth2", 1004: "eth3"} {
		if deviceText(host, name) == deviceText(hostOnly(before), name) {
			continue
		}
		has := func(a netmove.Attachment) bool { return a.Before.Identity.Inode == inode }
		if !slices.ContainsFunc(n.journal.All(), func(r *journal.Record) bool { return slices.ContainsFunc(r.All(), has) }) {
			t.Errorf("%s is not on the host as it was, and no record has it:\n%s", name, n.World)
		}
	}
}

// deviceText is what the world's text says of a device.
func deviceText(world, name string) string {
	for _, text := range withoutIndexes(world) {
		if strings.HasPrefix(text, name+" ") {
			return text
		}
	}
	return ""
}

// lives starts and ends a pod, with one request to the kernel that fails, and reports whether
// that one was reached. In the end all is as before.
func (n *node) lives(t *testing.T, pod *testPod, fails int) (reached bool) {
	t.Helper()
	before := n.World.String()
	n.Fail(fails, netmovetest.Before)
	err := n.run(t.Context(), pod)
	reached = n.Calls() >= fails
	n.Fail(0, netmovetest.Never)
	if err == nil {
		n.End(pod.ID)
	}
	n.sweep()
	n.asBefore(t, before)
	return reached
}

// From any request on every request to the kernel fails while a pod starts: the pod has all, or
// is refused and nothing is nobody's. Once the kernel answers again, the sweep puts all right.
//
// Invariant: a record and its pin stay until every device of it is home.
func TestKernelFailsForGoodWhileAttaching(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		pod := n.pod("a", twoDevices)
		before := n.World.String()
		n.FailFrom(step)
		err := n.run(t.Context(), pod)
		met := n.Calls() >= step
		n.nobodys(t, before)
		n.Fail(0, netmovetest.Never)
		if !met {
			enough(t, step)
			return
		}
		if err == nil {
			n.hasAll(t, pod)
			n.End(pod.ID)
		}
		n.sweep()
		n.asBefore(t, before)
	}
}

// The same while a pod ends, and while the sweep tries again.
func TestKernelFailsForGoodWhileReturning(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		pod := n.pod("a", twoDevices)
		before := n.World.String()
		if err := n.run(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		n.FailFrom(step)
		n.End(pod.ID)
		met := n.Calls() >= step
		n.nobodys(t, before)
		for range enoughTries + 1 {
			n.sweep()
			n.nobodys(t, before)
		}
		n.Fail(0, netmovetest.Never)
		n.sweep()
		n.asBefore(t, before)
		if !met {
			enough(t, step)
			return
		}
	}
}

// The disk fails from any request on while a pod starts: what a pod has, the disk knows.
func TestJournalFailsWhileAttaching(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		pod := n.pod("a", twoDevices)
		before := n.World.String()
		broken := false
		n.Interrupt(step, func() { broken = true; n.breakJournal() })
		err := n.run(t.Context(), pod)
		n.Interrupt(0, nil)
		n.nobodys(t, before)
		if !broken {
			enough(t, step)
			n.hasAll(t, pod)
			return
		}
		n.mendJournal()
		if err == nil {
			n.hasAll(t, pod)
			n.End(pod.ID)
		}
		n.sweep()
		n.sweep()
		n.asBefore(t, before)
		n.start(t, allowAll)
		n.Recover()
		n.asBefore(t, before)
	}
}

// The disk fails from any request on while a pod ends: no device waits for the disk.
func TestJournalFailsWhileReturning(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		pod := n.pod("a", twoDevices)
		before := n.World.String()
		if err := n.run(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		broken := false
		n.Interrupt(step, func() { broken = true; n.breakJournal() })
		n.End(pod.ID)
		n.Interrupt(0, nil)
		for _, name := range []string{"eth1", "eth2"} {
			if got, want := deviceText(hostOnly(n.World.String()), name), deviceText(hostOnly(before), name); got != want {
				t.Errorf("step %d: %s waits for the disk: %s", step, name, got)
			}
		}
		if !broken {
			enough(t, step)
			return
		}
		n.mendJournal()
		n.sweep()
		n.asBefore(t, before)
		n.start(t, allowAll)
		n.Recover()
		n.asBefore(t, before)
	}
}

// Where a namespace cannot be pinned, a handle keeps it alive: the devices of a pod whose
// namespace's file and processes are gone come home.
func TestUnpinnable(t *testing.T) {
	n := newNode(t, allowAll)
	n.CannotPin(true)
	pod := n.pod("a", twoDevices)
	n.namespaceOf(t, pod)
	before := hostOnly(n.World.String())
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.hasAll(t, pod)
	if got := n.Pins(); got != 1 {
		t.Errorf("%d namespaces are kept alive, want 1", got)
	}
	n.sweep() // renews nothing
	n.namespaceOf(t, pod).Leave()
	n.RemoveNamespace("pod-a")
	for range proofsNeeded {
		n.sweep()
	}
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records: %q", left)
	}
	if got := n.Pins(); got != 0 {
		t.Errorf("%d namespaces are kept alive, want none", got)
	}
	if got := hostOnly(n.World.String()); got != before {
		t.Errorf("the host is\n%s\nwant\n%s", got, before)
	}
}

// A refused pod's namespace is not kept where it cannot be pinned.
func TestUnpinnableAndRefused(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		n.CannotPin(true)
		pod := n.pod("a", twoDevices)
		if !n.lives(t, pod, step) {
			enough(t, step)
			return
		}
	}
}

// At any request of an attach something else begins on the same sandbox. It waits, and in the
// end either the pod has all or the host does.
func TestOperationsOverlap(t *testing.T) {
	for name, begin := range map[string]func(*node, *testPod){
		"the pod ends":       func(n *node, p *testPod) { n.End(p.ID) },
		"a container":        func(n *node, p *testPod) { _ = n.Admit(t.Context(), p.Sandbox, p.requests, untilDone{t.Context()}) },
		"the sweep":          func(n *node, _ *testPod) { n.sweep() },
		"a return by hand":   func(n *node, p *testPod) { _, _ = n.ReturnByHand(Selection{All: true}) },
		"the same once more": func(n *node, p *testPod) { _ = n.run(t.Context(), p) },
		"a list without it":  func(n *node, _ *testPod) { n.list(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			for step := 1; ; step++ {
				n := newNode(t, allowAll)
				pod := n.pod("a", twoDevices)
				before := n.World.String()
				var other sync.WaitGroup
				met := false
				n.Interrupt(step, func() {
					met = true
					other.Go(func() { begin(n, pod) })
				})
				if err := n.run(t.Context(), pod); err != nil && !strings.Contains(err.Error(), "not found") {
					t.Errorf("step %d: %v", step, err)
				}
				n.Interrupt(0, nil)
				other.Wait()
				n.nobodys(t, before)
				if r, ok := n.journal.Get(pod.ID); ok && r.State == journal.Attached && len(r.Devices) == 2 {
					n.hasAll(t, pod)
				}
				n.End(pod.ID)
				n.sweep()
				n.asBefore(t, before)
				if !met {
					enough(t, step)
					return
				}
			}
		})
	}
}
