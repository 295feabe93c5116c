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

// sweeps is that many looks of the sweep.
func (n *node) sweeps(times int) {
	for range times {
		n.sweep()
	}
}

// recordOf is the record of a pod, which there has to be.
func (n *node) recordOf(t *testing.T, p *testPod) *journal.Record {
	t.Helper()
	r, ok := n.journal.Get(p.ID)
	if !ok {
		t.Fatalf("no record of %s", p.ID)
	}
	return r
}

// index is where a device is in a namespace.
func index(t *testing.T, ns *netmovetest.Namespace, name string) int {
	t.Helper()
	dev, err := ns.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return dev.Identity.Index
}

// burden puts a program on a device that cannot be removed until free is called.
func (n *node) burden(t *testing.T, ns *netmovetest.Namespace, name string) (free func()) {
	t.Helper()
	dev, err := ns.ByName(name)
	if err != nil {
		t.Fatal(err)
	}
	ns.AttachProgram(dev.Identity.Index, netmove.Program{Hook: netmove.XDPDriver, ID: 7})
	n.Hold(dev.Identity.Inode, true)
	return func() { n.Hold(dev.Identity.Inode, false) }
}

// What a pod's life says in the log: that it has its devices, and that they are back, and
// nothing else.
func TestLogOfALife(t *testing.T) {
	n, _, pod, _ := holding(t)
	n.sweeps(3)
	n.End(pod.ID)
	n.End(pod.ID)
	n.sweeps(3)
	n.told(t, 1, "INFO devices attached devices=")
	n.told(t, 1, "INFO devices returned why=the pod ended devices=[eth1]")
	n.told(t, 2, "")
	if n.seen.of("attached") != 1 || n.seen.of("returned") != 1 || n.seen.of("return") != 1 {
		t.Errorf("the observer was told %v", n.seen.count)
	}
}

// onReturn is about devices that a pod has had: an attach that failed, or was not completed,
// leaves them as they were.
func TestOnReturnDownOfAnAttachThatFailed(t *testing.T) {
	for name, fail := range map[string]func(*node, int){
		"a request fails":  func(n *node, step int) { n.Fail(step, netmovetest.Before) },
		"the process ends": func(n *node, step int) { n.Crash(step) },
	} {
		t.Run(name, func(t *testing.T) {
			for step := 1; ; step++ {
				n := newNode(t, allowAll+"onReturn: down\n")
				pod := n.pod("a", twoDevices)
				before := n.World.String()
				fail(n, step)
				err := func() (err error) {
					defer func() {
						if recover() != nil {
							err = errors.New("crash")
						}
					}()
					return n.run(t.Context(), pod)
				}()
				if n.Calls() < step {
					enough(t, step)
					return
				}
				n.Fail(0, netmovetest.Never)
				if err == nil {
					continue
				}
				n.EndProcess()
				n.start(t, allowAll+"onReturn: down\n")
				n.Recover()
				n.sweep()
				n.asBefore(t, before)
			}
		})
	}
}

// The pod's namespace cannot be opened: its devices stay on record, and that is told once.
func TestNamespaceCannotBeOpened(t *testing.T) {
	n, before, pod, _ := holding(t)
	n.CannotOpen(true)
	n.End(pod.ID)
	n.sweeps(10)
	r := n.recordOf(t, pod)
	if r.State != journal.Returning || len(r.Devices) != 1 || len(r.Lost) > 0 {
		t.Errorf("record: %+v", r)
	}
	if _, err := n.InodeAt(n.pins.path(pod.ID)); err != nil {
		t.Errorf("the pin is gone: %v", err)
	}
	n.told(t, 1, "ERROR cannot open the pod's network namespace")
	n.told(t, 1, "ERROR")
	if got, err := n.ReturnByHand(Selection{Sandbox: pod.ID}); err != nil || len(got.Problems) != 1 || strings.Contains(got.Problems[0], "try again") {
		t.Errorf("returned %+v, %v", got, err)
	}
	n.CannotOpen(false)
	n.sweep()
	if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
	n.told(t, 1, "INFO devices returned why="+string(unfinished))
}

// The pod's namespace is gone without a pin, and with it a virtual device: both are told once.
func TestNamespaceIsGone(t *testing.T) {
	n, _, pod, ns := holding(t)
	if err := n.Unpin(n.pins.path(pod.ID)); err != nil {
		t.Fatal(err)
	}
	ns.Leave()
	n.RemoveNamespace("pod-a")
	n.End(pod.ID)
	if r := n.recordOf(t, pod); r.State != journal.Returning || !r.Ended.IsZero() {
		t.Errorf("record after the first look in vain: %+v", r)
	}
	n.sweeps(10)
	n.told(t, 1, "WARN the pod's network namespace is gone")
	n.told(t, 1, "ERROR device is lost device=eth1")
	n.told(t, 1, "ERROR")
	n.told(t, 0, "INFO devices returned")
	if r := n.recordOf(t, pod); r.State != journal.Lost || r.Ended.IsZero() {
		t.Errorf("record: %+v", r)
	}
	if got := n.seen.of("lost"); got != 1 {
		t.Errorf("counted %d times", got)
	}
}

// The end of a pod whose devices are lost or quarantined changes nothing about them, however
// often it is told.
func TestEndAfterTheEnd(t *testing.T) {
	n, _, pod, ns := holding(t)
	n.burden(t, ns, "net1")
	n.End(pod.ID)
	n.sweeps(enoughTries)
	quarantined := n.recordOf(t, pod)
	if quarantined.State != journal.Quarantined || quarantined.Ended.IsZero() {
		t.Fatalf("record: %+v", quarantined)
	}
	tries := n.seen.of("return")
	n.End(pod.ID)
	n.sweeps(2)
	if got := n.seen.of("return"); got != tries {
		t.Errorf("%d more tries", got-tries)
	}
	if r := n.recordOf(t, pod); r != quarantined {
		t.Errorf("the record has changed: %+v", r)
	}
	n.told(t, 1, "ERROR device is quarantined")
	n.told(t, 0, "INFO devices returned")
	if got := n.seen.of("quarantined"); got != 1 {
		t.Errorf("counted %d times", got)
	}

	n, pod, _ = lostHardware(t)
	lost := n.recordOf(t, pod)
	n.End(pod.ID)
	n.sweeps(2)
	if r := n.recordOf(t, pod); r != lost {
		t.Errorf("the record has changed: %+v", r)
	}
	n.told(t, 1, "ERROR device is lost")
}

// lostAndQuarantined is a node whose pod has ended with eth1, hardware, lost in a namespace of
// the pod's, and eth2 quarantined until free is called.
func lostAndQuarantined(t *testing.T) (n *node, pod *testPod, nested *netmovetest.Namespace, free func()) {
	t.Helper()
	n = newNode(t, allowAll)
	n.hardware()
	pod = n.pod("a", "- {name: eth1, newName: net1}\n- {name: eth2, newName: net2}\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	ns := n.namespaceOf(t, pod)
	nested = n.AddNamespace("pod-nested")
	if err := ns.Move(index(t, ns, "net1"), nested, "eth7", 0); err != nil {
		t.Fatal(err)
	}
	free = n.burden(t, ns, "net2")
	n.End(pod.ID)
	n.sweeps(enoughTries)
	return n, pod, nested, free
}

// A device is lost and another one quarantined: the sandbox is quarantined, and its pin stays
// until that is over.
func TestLostAndQuarantined(t *testing.T) {
	n, pod, _, free := lostAndQuarantined(t)
	r := n.recordOf(t, pod)
	if r.State != journal.Quarantined || len(r.Lost) != 1 || len(r.Quarantined) != 1 {
		t.Fatalf("record: %+v", r)
	}
	if _, err := n.InodeAt(n.pins.path(pod.ID)); err != nil {
		t.Errorf("no pin while a device is quarantined: %v", err)
	}
	free()
	if got, err := n.ReturnByHand(Selection{Devices: []string{"eth2"}}); err != nil || len(got.Problems) > 0 {
		t.Errorf("returned %+v, %v", got, err)
	}
	if r := n.recordOf(t, pod); r.State != journal.Lost || len(r.Lost) != 1 || len(r.Quarantined) != 0 {
		t.Errorf("record: %+v", r)
	}
	if _, err := n.InodeAt(n.pins.path(pod.ID)); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("the pin is left: %v", err)
	}
}

// What is quarantined waits for an operator, also when lost hardware of the same pod is home
// again.
func TestQuarantineOutlastsTheLost(t *testing.T) {
	n, pod, nested, free := lostAndQuarantined(t)
	if err := nested.Move(index(t, nested, "eth7"), n.host, "eth7", 0); err != nil {
		t.Fatal(err)
	}
	free()
	n.sweeps(2)
	if dev, err := n.host.ByName("eth1"); err != nil || !dev.Flags.Up {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
	if r := n.recordOf(t, pod); r.State != journal.Quarantined || len(r.Quarantined) != 1 || len(r.Lost) != 0 {
		t.Errorf("record: %+v", r)
	}
	n.told(t, 1, "ERROR device is quarantined")
	if got := n.seen.of("quarantined"); got != 1 {
		t.Errorf("counted %d times", got)
	}
}

// One device of a pod that runs is to be returned, and its name on the host is taken: the pod
// is told why, the sweep goes on with it, and what is not new is neither logged nor written.
func TestReturnBegunWhileThePodRuns(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", twoDevices)
	before := n.World.String()
	if err := errors.Join(n.run(t.Context(), pod), n.create(t, pod)); err != nil {
		t.Fatal(err)
	}
	n.host.AddDevice(other("eth1"))
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Problems) != 1 || len(r.Devices) != 0 {
		t.Errorf("returned %+v, %v", r, err)
	}
	written := n.journal.Homecomings()
	n.sweeps(10)
	if now := n.journal.Homecomings(); now != written {
		t.Errorf("looks that changed nothing wrote %d records", now-written)
	}
	n.told(t, 1, "ERROR device cannot be returned yet device=eth1")
	n.told(t, 1, "ERROR")
	if r := n.recordOf(t, pod); r.State != journal.Attached || len(r.Devices) != 2 || !r.Problems["eth1"].Misnamed {
		t.Errorf("record: %+v", r)
	}
	if got := n.Missed(); len(got) > 0 {
		t.Errorf("missed, while it has a device: %+v", got)
	}
	n.host.Remove("eth1")
	n.sweep()
	if r := n.recordOf(t, pod); r.State != journal.Attached || len(r.Devices) != 1 || !strings.Contains(r.Problems["eth1"].Text, "it was returned") {
		t.Errorf("record: %+v", r)
	}
	n.End(pod.ID)
	n.host.Renumber() // its index was taken
	n.asBefore(t, before)
}

// Ports of one bridge come home by their numbers, and stay in their order in the record meanwhile.
func TestReturnPortsByTheirNumbers(t *testing.T) {
	n := newNode(t, allowAll)
	br0 := n.host.Add(netmove.Snapshot{Name: "br0", MTU: 1500, Identity: netmove.Identity{Kind: "bridge"}})
	for i, name := range []string{"eth4", "eth5", "eth6"} {
		n.host.Add(netmove.Snapshot{Name: name, MTU: 1500, Master: br0.Identity, Port: i + 1})
	}
	pod := n.pod("a", "[{name: eth5}, {name: eth1}, {name: eth6}, {name: eth4}]")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	names := func() (list []string) {
		for _, a := range n.recordOf(t, pod).Devices {
			list = append(list, a.Before.Name)
		}
		return list
	}
	before := names()
	for _, name := range before {
		n.host.AddDevice(other(name))
	}
	n.End(pod.ID)
	if diff := cmp.Diff(before, names()); diff != "" {
		t.Errorf("in the record (-want +got):\n%s", diff)
	}
	for _, name := range before {
		n.host.Remove(name)
	}
	n.sweep()
	n.told(t, 1, "INFO devices returned why=an earlier operation was not completed devices=[eth4 eth5 eth1 eth6]")
}

// The sweep goes by a list of records that is older than what it finds: a sandbox that has got
// its devices meanwhile keeps them.
func TestUnfinishedThatIsCompleted(t *testing.T) {
	n, _, pod, _ := holding(t)
	attached := n.World.String()
	n.returnAll(pod.ID, unfinished)
	if got := n.World.String(); got != attached {
		t.Errorf("the pod was robbed:\n%s", cmp.Diff(attached, got))
	}
}

// What cannot be written while a pod ends is told once, and no device waits for it.
func TestDiskFailsForLong(t *testing.T) {
	n, before, pod, _ := holding(t)
	n.breakJournal()
	n.End(pod.ID)
	n.sweeps(10)
	n.told(t, 1, "ERROR cannot write the record")
	n.told(t, 1, "ERROR cannot remove the record")
	n.told(t, 1, "ERROR cannot write the journal")
	n.told(t, 3, "ERROR")
	n.told(t, 1, "INFO devices returned")
	if got := hostOnly(n.World.String()); got != before {
		t.Errorf("the host differs:\n%s", cmp.Diff(before, got))
	}
	n.mendJournal()
	n.sweeps(2)
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
}

// A setting that cannot be put back leaves the device altered: told once, and listed until
// somebody else has it.
func TestAlteredIsTold(t *testing.T) {
	n, _, pod, _ := holding(t)
	n.Stubborn(true)
	n.End(pod.ID)
	n.sweeps(10)
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
	n.sweep() // it is still there
	n.told(t, 1, "ERROR device is home, and not quite as it was device=eth1")
	if got := n.Altered(); len(got) != 1 || got[0].Device != "eth1" || got[0].Pod != "pod default/a" || len(got[0].Differences) == 0 {
		t.Errorf("altered: %+v", got)
	}
	if n.seen.of("altered") != 1 || n.seen.of("differs host "+n.Altered()[0].Differences[0].Attribute) == 0 {
		t.Errorf("the observer was told %v", n.seen.count)
	}
	n.Stubborn(false)
	if err := n.run(t.Context(), n.pod("b", "- name: eth1")); err != nil {
		t.Fatal(err)
	}
	if got := n.Altered(); len(got) > 0 {
		t.Errorf("altered while another pod has it: %+v", got)
	}
}

// The namespace cannot be let go of: the record stays until it is.
func TestNamespaceCannotBeLetGoOf(t *testing.T) {
	n := newNode(t, allowAll)
	n.CannotPin(true)
	pod := n.pod("a", "- name: eth1")
	before := n.World.String()
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.told(t, 1, "WARN pods' network namespaces cannot be pinned")
	n.CloseFails(true)
	n.End(pod.ID)
	n.told(t, 1, "ERROR cannot let go of the pod's network namespace")
	if r := n.recordOf(t, pod); r.State != journal.Returning || len(r.Devices) > 0 {
		t.Errorf("record: %+v", r)
	}
	n.CloseFails(false)
	n.sweep()
	n.asBefore(t, before)
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.told(t, 1, "WARN")
}

// One device of a pod that runs is to be returned, and the kernel keeps it in the pod: the sweep
// goes on with it.
func TestReturnThatLeavesTheDeviceInThePod(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", twoDevices)
	before := n.World.String()
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.FailFrom(2)
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Problems) != 1 {
		t.Errorf("returned %+v, %v", r, err)
	}
	n.Fail(0, netmovetest.Never)
	if _, err := n.namespaceOf(t, pod).ByName("net1"); err != nil {
		t.Fatalf("not in the pod: %v", err)
	}
	n.sweep()
	if dev, err := n.host.ByName("eth1"); err != nil || !dev.Flags.Up {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
	if r := n.recordOf(t, pod); r.State != journal.Attached || len(r.Devices) != 1 {
		t.Errorf("record: %+v", r)
	}
	n.End(pod.ID)
	n.asBefore(t, before)
}

// A pod has ended without a hook, and its device waits for its name: that is no reason to look
// again soon, for ever.
func TestNoHasteWhileANameIsTaken(t *testing.T) {
	n, _, pod, ns := holding(t)
	n.host.AddDevice(other("eth1"))
	ns.Leave()
	n.sweeps(proofsNeeded)
	if r := n.recordOf(t, pod); r.State != journal.Returning {
		t.Fatalf("record: %+v", r)
	}
	if n.sweep() {
		t.Error("soon again")
	}
}
