package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// crashWhile runs an operation that the process does not survive at that request, and starts
// the next process.
func (n *node) crashWhile(t *testing.T, step int, text string, op func()) {
	t.Helper()
	n.Crash(step)
	func() {
		defer func() {
			if recover() == nil {
				t.Fatalf("no request %d", step)
			}
		}()
		op()
	}()
	n.Fail(0, netmovetest.Never)
	n.EndProcess()
	n.start(t, text)
}

// attachRequests is how many requests to the kernel the attach of a pod takes.
func attachRequests(t *testing.T, devices string) int {
	t.Helper()
	n := newNode(t, allowAll)
	pod := n.pod("a", devices)
	n.Fail(0, netmovetest.Never)
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return n.Calls()
}

// The process before this one had an attach and a return under way, and a pod with its devices:
// these are completed, and counted, that stays. Nothing counts as recovered before it is.
func TestRecover(t *testing.T) {
	n := newNode(t, allowAll)
	keeps, ends, begins := n.pod("a", "- {name: eth1, newName: net1}"), n.pod("b", "- name: eth2"), n.pod("c", "- name: eth3")
	if err := errors.Join(n.run(t.Context(), keeps), n.run(t.Context(), ends)); err != nil {
		t.Fatal(err)
	}
	n.host.AddDevice(other("eth2"))
	n.End(ends.ID)
	n.host.Remove("eth2")
	n.crashWhile(t, attachRequests(t, begins.devices), allowAll, func() { _ = n.run(t.Context(), begins) })
	if r := n.recordOf(t, begins); r.State != journal.Attaching {
		t.Fatalf("record: %+v", r)
	}
	n.Interrupt(1, func() {
		if n.Recovered() {
			t.Error("recovered before it has begun")
		}
	})
	n.Recover()
	if !n.Recovered() {
		t.Error("not recovered")
	}
	if got := n.seen.of("recovers"); got != 2 {
		t.Errorf("%d sandboxes were recovered, want 2", got)
	}
	if r := n.recordOf(t, keeps); r.State != journal.Attached || len(n.journal.All()) != 1 {
		t.Errorf("records: %+v", n.journal.All())
	}
	n.told(t, 0, "WARN")
	n.told(t, 0, "ERROR")
}

// detached is a node whose pod has eth1 without the program of the host's.
func detached(t *testing.T) (n *node, pod *testPod, text string) {
	t.Helper()
	text = strings.Replace(allowAll, "namespaces:", "settings: [detachBPF]\n  namespaces:", 1)
	n = newNode(t, text)
	i := index(t, n.host, "eth1")
	n.host.AttachProgram(i, netmove.Program{Hook: netmove.XDPDriver, ID: 7})
	n.host.AttachProgram(i, netmove.Program{Hook: netmove.TCXEgress, ID: 8})
	pod = n.pod("a", "- {name: eth1, detachBPF: true}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return n, pod, text
}

// Programs that devices of pods do without are held again by the next process. One that is gone
// is told of.
func TestRecoverHoldsPrograms(t *testing.T) {
	n, pod, text := detached(t)
	n.EndProcess()
	n.start(t, text)
	n.Recover()
	if got := n.Holders(); got != 2 {
		t.Errorf("%d programs are held, want 2", got)
	}
	if got := n.Pins(); got != 0 { // which are files, of which a kernel in memory makes none
		t.Errorf("%d pins", got)
	}
	n.told(t, 0, "WARN")
	n.EndProcess()
	n.start(t, text)
	n.Fail(1, netmovetest.Before) // holding the first program
	n.Recover()
	n.Fail(0, netmovetest.Never)
	n.told(t, 1, "WARN a program of the host's is gone while the pod does without it")
	if got := n.Holders(); got != 1 {
		t.Errorf("%d programs are held, want the other one", got)
	}
	n.End(pod.ID)
	if got := n.Holders(); got != 0 {
		t.Errorf("%d programs are held after the pod's end", got)
	}
}

// A pod is refused when a program cannot be held, and none is held for it.
func TestProgramCannotBeHeld(t *testing.T) {
	for step := 1; ; step++ {
		n, pod, _ := detached(t)
		n.End(pod.ID)
		if !n.lives(t, pod, step) {
			return
		}
	}
}

// Files of pins without a record are removed at the start, those of records stay, and those of
// records that could not be read, too.
func TestPinsWithoutARecord(t *testing.T) {
	n, _, pod, ns := holding(t)
	for _, path := range []string{
		"netns/" + pod.ID, "netns/left", "netns/unread", "set-aside/boot-1/unread.json",
	} {
		path = filepath.Join(n.state, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sandbox := range []string{"left", "unread"} {
		if err := n.Pin(ns, n.pins.path(sandbox)); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Pins(); got != 3 {
		t.Errorf("%d pins, want 3", got)
	}
	n.EndProcess()
	n.start(t, allowAll)
	n.Recover()
	for sandbox, want := range map[string]bool{pod.ID: true, "unread": true, "left": false} {
		if _, err := n.InodeAt(n.pins.path(sandbox)); (err == nil) != want {
			t.Errorf("the pin of %s is there: %v, want %v", sandbox, err == nil, want)
		}
	}
	n.told(t, 0, "ERROR")
	for _, err := range []error{os.RemoveAll(n.pins.folder), os.WriteFile(n.pins.folder, nil, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	n.Recover()
	n.told(t, 1, "ERROR cannot remove pins without a record err=pins: ")
}

// A pin that cannot be removed is told of.
func TestPinWithoutARecordStays(t *testing.T) {
	n := newNode(t, allowAll)
	if err := errors.Join(os.MkdirAll(n.pins.folder, 0o700), os.WriteFile(n.pins.path("left"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	n.FailFrom(1)
	n.Recover()
	n.Fail(0, netmovetest.Never)
	n.told(t, 1, "ERROR cannot remove pins without a record err="+netmovetest.ErrInjected.Error())
}

// A record is not on disk: that is told when it is new, and again when it is so once more, and
// when it is over.
func TestRecordIsNotOnDisk(t *testing.T) {
	n, _, pod, _ := holding(t)
	for times := 1; times <= 2; times++ {
		n.breakJournal()
		if err := n.rewrite(); err == nil {
			t.Error("the journal is not broken")
		}
		n.sweeps(10)
		n.told(t, times, "ERROR cannot write the journal")
		n.mendJournal()
		n.sweeps(10)
		n.told(t, times, "ERROR")
		n.told(t, times, "WARN records were not on disk")
		if got := n.onDisk(t, pod); got != "attached" {
			t.Errorf("the disk says %q", got)
		}
	}
}

// The record of a lost device that is due to be forgotten cannot be removed: told once.
func TestLostRecordCannotBeRemoved(t *testing.T) {
	n, _, pod, ns := holding(t)
	ns.Remove("net1")
	n.End(pod.ID)
	n.sweeps(enoughTries)
	n.Sleep(1)
	n.sweep()
	n.Sleep(lostKept)
	n.breakJournal()
	n.sweeps(10)
	n.told(t, 1, "ERROR cannot remove the record of lost devices")
	n.mendJournal()
	n.sweep()
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
}

// What was moved by hand has no end that could be found, whatever becomes of the namespace's
// file and processes.
func TestMovedByHandHasNoEnd(t *testing.T) {
	n := newNode(t, allowAll)
	lab := n.AddNamespace("lab")
	if _, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "lab"}, "lab"); err != nil {
		t.Fatal(err)
	}
	lab.Leave()
	n.RemoveNamespace("lab")
	n.sweeps(2 * proofsNeeded)
	if _, err := lab.ByName("eth1"); err != nil {
		t.Errorf("returned: %v", err)
	}
}

// The sweep looks again soon when a look has shown what counts only when it is seen twice, and
// only then.
func TestSweepLooksAgainSoon(t *testing.T) {
	n, _, pod, ns := holding(t)
	other := n.pod("z", "- name: eth2")
	if err := n.run(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if n.sweep() {
		t.Error("soon again, and nothing was seen")
	}
	dev, _ := ns.ByName("net1")
	nested := n.AddNamespace("nested")
	if err := ns.Move(dev.Identity.Index, nested, "net1", 0); err != nil {
		t.Fatal(err)
	}
	if !n.sweep() {
		t.Error("a device is missing, and there is time")
	}
	n.sweep()
	if n.sweep() {
		t.Error("soon again, after all that there was to see")
	}
	ns.Leave()
	if !n.sweep() {
		t.Error("a pod has ended as it seems, and there is time")
	}
	n.End(pod.ID)
	if n.sweep() {
		t.Error("soon again after the end")
	}
}

// Sweep recovers first, and leaves nothing open.
func TestSweepRecovers(t *testing.T) {
	n := newNode(t, allowAll)
	open := openFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Sweep(ctx)
	if !n.Recovered() {
		t.Error("not recovered")
	}
	if got := openFiles(t); got > open {
		t.Errorf("%d files are open, %d were", got, open)
	}
}

// openFiles counts the open files of the process.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// A return that waits is tried once in a while, however often the sweep looks.
func TestTriesAreSpaced(t *testing.T) {
	n, _, pod, _ := holding(t)
	n.host.AddDevice(other("eth1"))
	n.End(pod.ID)
	n.Sleep(1) // 0 is long ago
	n.sweep()
	tries := n.seen.of("return")
	n.sweeps(3)
	if got := n.seen.of("return"); got != tries {
		t.Errorf("tried %d times at once", 1+got-tries)
	}
	n.Sleep(tryEvery)
	n.sweep()
	if got := n.seen.of("return"); got != tries+1 {
		t.Errorf("tried %d times when it was due", got-tries)
	}
}

// Looks that see nothing do not make the next one come soon. The clock is the test's.
func TestSweepWithoutHaste(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _, _ := holding(t)
		n.sweep()
		n.Fail(0, netmovetest.Never)
		n.sweep()
		one := n.Calls()
		w, _ := withoutFiles(t, n)
		defer w.close()
		const looks = 10
		ctx, cancel := context.WithTimeout(t.Context(), looks*sweepEvery+sweepEvery/2)
		defer cancel()
		n.Fail(0, netmovetest.Never)
		n.sweepOn(ctx, w)
		if got := n.Calls(); got < looks*one || got > 2*looks*one {
			t.Errorf("%d requests in %d looks, each of which takes %d", got, looks, one)
		}
	})
}

// A look that has seen something makes the next one come soon. The clock is the test's.
func TestSweepFollowsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, pod, ns := holding(t)
		n.forgetPause(t)
		ns.Leave()
		n.RemoveNamespace("pod-a")
		n.list(nil) // wakes it
		w, _ := withoutFiles(t, n)
		defer w.close()
		ctx, cancel := context.WithTimeout(t.Context(), lookAgain+lookAgain/2)
		defer cancel()
		n.sweepOn(ctx, w)
		if _, ok := n.journal.Get(pod.ID); ok {
			t.Error("not returned at the second look")
		}
	})
}
