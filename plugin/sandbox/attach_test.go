package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// A pod that asks for nothing gets nothing, without a request to the kernel.
func TestAttachOfNothing(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "[]")
	before := n.World.String()
	n.Fail(0, netmovetest.Never)
	if err := n.run(t.Context(), pod); err != nil || n.Calls() != 0 {
		t.Errorf("%d requests, error %v", n.Calls(), err)
	}
	n.asBefore(t, before)
}

// A pod that has had a container gets no devices, whoever asks.
func TestAttachOfAPodWithContainers(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	before := n.World.String()
	n.list([]*testPod{pod}, pod)
	if err := n.run(t.Context(), pod); !errors.Is(err, ErrMissed) || !strings.Contains(err.Error(), startedWithout) {
		t.Errorf("error is %v", err)
	}
	n.asBefore(t, before)
}

// The runtime lists a pod as one with a container while that gets its devices: it has them, and
// is not missed.
func TestListedWhileItAttaches(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	n.Interrupt(2, func() {
		n.list([]*testPod{pod}, pod)
		n.sweep()
		if len(n.Missed()) != 1 {
			t.Error("not missed while it has nothing")
		}
	})
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got := n.Missed(); len(got) > 0 {
		t.Errorf("missed: %+v", got)
	}
}

// A decision that a homecoming has overtaken is made again, but not for ever.
func TestStaleDecisions(t *testing.T) {
	for _, stale := range []int{1, beginTries - 1, beginTries, 2 * beginTries} {
		n := newNode(t, allowAll)
		pod := n.pod("a", "- name: eth1")
		before := n.World.String()
		netns, err := n.openPod(pod.Sandbox)
		if err != nil {
			t.Fatal(err)
		}
		requests, _ := pod.requests()
		tries := 0
		begin := func() (*journal.Record, error) {
			if tries++; tries <= stale {
				return nil, journal.ErrStale
			}
			return n.begin(t.Context(), pod.Sandbox, netns, requests)
		}
		err = n.transact(t.Context(), netns, begin, untilDone{t.Context()})
		if wantErr := stale >= beginTries; errors.Is(err, journal.ErrStale) != wantErr || tries != min(stale+1, beginTries) {
			t.Errorf("%d decisions of which %d are stale: %v", tries, stale, err)
		}
		n.End(pod.ID)
		n.asBefore(t, before)
	}
}

// A device comes home while the pod that wants it is decided on.
func TestHomecomingMeanwhile(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		first, second := n.pod("a", "- name: eth1"), n.pod("b", "- name: eth2")
		before := n.World.String()
		if err := n.run(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		met := false
		n.Interrupt(step, func() { met = true; n.End(first.ID) })
		if err := n.run(t.Context(), second); err != nil {
			t.Errorf("step %d: %v", step, err)
		}
		n.Interrupt(0, nil)
		n.End(first.ID)
		n.End(second.ID)
		n.asBefore(t, before)
		if !met {
			return
		}
	}
}

// Any request of an attach fails, and the undo finds the device's name taken: what is not as it
// was is on record, and the error says both.
func TestUndoFailsToo(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		pod := n.pod("a", twoDevices)
		before := n.World.String()
		taken := false
		n.Fail(step, netmovetest.Before)
		n.Interrupt(step, func() {
			if taken = deviceText(hostOnly(n.World.String()), "eth1") == ""; taken {
				n.host.AddDevice(other("eth1"))
			}
		})
		err := n.run(t.Context(), pod)
		met := n.Calls() >= step
		n.Fail(0, netmovetest.Never)
		n.Interrupt(0, nil)
		if taken {
			if !errors.Is(err, netmove.ErrUndo) {
				t.Errorf("step %d: %v", step, err)
			}
			r, ok := n.journal.Get(pod.ID)
			if !ok || r.State != journal.Returning || r.Committed {
				t.Errorf("step %d: record %+v", step, r)
			}
			if _, err := n.InodeAt(n.pins.path(pod.ID)); err != nil {
				t.Errorf("step %d: the pin is gone: %v", step, err)
			}
			n.host.Remove("eth1")
		}
		n.End(pod.ID)
		n.sweep()
		n.host.Renumber()
		n.asBefore(t, before)
		if !met {
			enough(t, step)
			return
		}
	}
}

// late is an Answer of which it is known before the news that nobody waits for it.
type late struct{}

func (late) Late() error    { return errNobodyWaits }
func (late) Succeed() error { panic("nobody waits") }

// Who waits until a context ends is told of nothing after that.
func TestUntilDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	answer := untilDone{ctx}
	if err := errors.Join(answer.Late(), answer.Succeed()); err != nil {
		t.Error(err)
	}
	cancel(errNobodyWaits)
	if late, err := answer.Late(), answer.Succeed(); !errors.Is(late, errNobodyWaits) || !errors.Is(err, errNobodyWaits) {
		t.Errorf("late: %v, success: %v", late, err)
	}
}

// An attach whose time is up before it has its lock asks the kernel for nothing.
func TestOutOfTimeBeforeTheBegin(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errNobodyWaits)
	n.Fail(0, netmovetest.Never)
	if err := n.run(ctx, pod); !errors.Is(err, errNobodyWaits) || n.Calls() > 0 {
		t.Errorf("%d requests, error %v", n.Calls(), err)
	}
}

// unplugged is an Answer that comes too late, on a node whose kernel fails from then on.
type unplugged struct{ *node }

func (unplugged) Late() error      { return nil }
func (u unplugged) Succeed() error { u.FailFrom(1); return errNobodyWaits }

// An attach that nobody learns of cannot be undone: both are told, and the sweep returns the
// device.
func TestLateAndNotUndone(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	before := n.World.String()
	requests, _ := pod.requests()
	err := n.Attach(t.Context(), pod.Sandbox, requests, unplugged{n})
	if !errors.Is(err, errNobodyWaits) || !errors.Is(err, netmovetest.ErrInjected) {
		t.Errorf("error is %v", err)
	}
	n.Fail(0, netmovetest.Never)
	n.sweep()
	n.asBefore(t, before)
}

// The record of an attach that nobody waits for any more is never written as attached.
func TestLateBeforeTheCommit(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	before := n.World.String()
	requests, _ := pod.requests()
	written := n.journal.Homecomings()
	if err := n.Attach(t.Context(), pod.Sandbox, requests, late{}); !errors.Is(err, errNobodyWaits) {
		t.Errorf("error is %v", err)
	}
	if got := n.journal.Homecomings() - written; got != 1 { // the removal
		t.Errorf("the record was changed %d times", got)
	}
	n.asBefore(t, before)
}

// What fails besides is told: the record of an attach that failed cannot be written.
func TestAbandonTellsOfTheDisk(t *testing.T) {
	for _, undo := range []error{nil, netmove.ErrUndo} {
		n, _, pod, _ := holding(t)
		r := n.recordOf(t, pod)
		n.breakJournal()
		if err := n.abandon(r, undo); err == nil || !strings.Contains(err.Error(), "journal: ") {
			t.Errorf("error is %v", err)
		}
		if r := n.recordOf(t, pod); r.State != journal.Returning {
			t.Errorf("record: %+v", r)
		}
		if _, err := n.InodeAt(n.pins.path(pod.ID)); (err == nil) != (undo != nil) {
			t.Errorf("undone: %v, pin: %v", undo == nil, err)
		}
		n.mendJournal()
	}
	n, _, pod, _ := holding(t)
	n.FailFrom(1)
	if err := n.abandon(n.recordOf(t, pod), nil); !errors.Is(err, netmovetest.ErrInjected) {
		t.Errorf("the pin cannot be removed: %v", err)
	}
}

// What an attach has shown is learned from, counted, and told.
func TestAttachIsMeasured(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	n.list([]*testPod{pod})
	if err := n.create(t, pod); err != nil {
		t.Fatal(err)
	}
	if left := n.estimate.fastest.keys(); len(left) != 1 {
		t.Errorf("estimated: %q", left)
	}
	n.told(t, 1, "WARN device is not in the pod as meant device=eth1 attribute=late is=attached after the pod's start")
	if n.seen.of("differs pod late") != 1 {
		t.Errorf("the observer was told %v", n.seen.count)
	}
}

// The host's own namespace is not kept open, and an error of its closing is told.
func TestHostNamespaceIsClosed(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	pod.NetnsPath = "host"
	n.CloseFails(true)
	err := n.run(t.Context(), pod)
	if !errors.Is(err, ErrHostNetwork) || !errors.Is(err, netmovetest.ErrInjected) || n.Handles() != 0 {
		t.Errorf("%d handles are open: %v", n.Handles(), err)
	}
	pod = n.pod("b", "- name: eth7")
	if err := n.run(t.Context(), pod); !errors.Is(err, netmove.ErrNotFound) || !errors.Is(err, netmovetest.ErrInjected) {
		t.Errorf("a refused pod: %v", err)
	}
	if _, err := n.Move(t.Context(), Move{Device: "eth1"}, "host"); !errors.Is(err, netmovetest.ErrInjected) {
		t.Errorf("a move by hand: %v", err)
	}
	n.CloseFails(false)
	if got := n.Handles(); got != 0 {
		t.Errorf("%d handles are open", got)
	}
}

// Devices are shown in the log in one line.
func TestAttachedInTheLog(t *testing.T) {
	n := newNode(t, allowAll)
	if err := n.run(t.Context(), n.pod("a", twoDevices)); err != nil {
		t.Fatal(err)
	}
	lines := n.log.Of("INFO devices attached")
	if len(lines) != 1 || !strings.Contains(lines[0], "; ") || strings.Contains(lines[0], "\n") || !strings.Contains(lines[0], "took=") {
		t.Errorf("logged %q", lines)
	}
}

// What a move loses is in the log, a line for each device, though a rule has accepted it.
func TestAcceptedLossIsTold(t *testing.T) {
	n := newNode(t, strings.Replace(allowAll, "namespaces:", "acceptLoss: [qdisc, nft]\n  namespaces:", 1))
	lossy := func(name string, loss ...netmove.Loss) {
		n.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: name, MTU: 1500}, Facts: netmove.Facts{Loss: loss}})
	}
	qdisc, nft := netmove.Loss{Kind: netmove.LossQdisc, Text: "tbf"}, netmove.Loss{Kind: netmove.LossNFT, Text: "chain a"}
	lossy("eth5", qdisc, nft)
	lossy("eth6", nft)
	if err := n.run(t.Context(), n.pod("a", "- name: eth5\n- name: eth6\n- name: eth1")); err != nil {
		t.Fatal(err)
	}
	const told = "INFO device loses state of the host, which is accepted "
	n.told(t, 2, told)
	n.told(t, 1, told+`device=eth5 loses=qdisc (tbf) and nft (chain a)`)
	n.told(t, 1, told+`device=eth6 loses=nft (chain a)`)
	lossy("eth7", qdisc)
	n.AddNamespace("lab")
	if moved, err := n.Move(t.Context(), Move{Device: "eth7", Force: true}, "lab"); err != nil || !strings.Contains(moved, "loses qdisc (tbf)") {
		t.Errorf("moved %q, error %v", moved, err)
	}
	n.told(t, 1, told+`device=eth7 loses=qdisc (tbf)`)
}

// Moves by hand that are refused say why, change nothing, and leave nothing open.
func TestMoveIsRefused(t *testing.T) {
	n := newNode(t, allowAll)
	n.AddNamespace("lab").Add(netmove.Snapshot{Name: "taken"})
	n.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: "eth5", MTU: 1500}, Facts: netmove.Facts{Loss: []netmove.Loss{{}}}})
	n.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: "eth6", MTU: 1500}, Facts: netmove.Facts{Role: netmove.Role{Immovable: true}}})
	c, err := config.Parse([]byte(allowAll + "protect: [eth5x]\n"))
	if err != nil {
		t.Fatal(err)
	}
	n.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: "eth5x", MTU: 1500}, Facts: netmove.Facts{Loss: []netmove.Loss{{}}}})
	n.SetConfig(c)
	before, written := n.World.String(), n.journal.Homecomings()
	for _, tc := range []struct {
		move Move
		path string
		want string
	}{
		{Move{Device: "eth1", Name: "a b"}, "lab", "--name: "},
		{Move{Device: "eth1"}, "nowhere", "network namespace nowhere: not found"},
		{Move{Device: "eth1"}, "host", "--netns: the devices are in this network namespace already"},
		{Move{Device: "eth7"}, "lab", `device "eth7" not found on this node`},
		{Move{Device: "eth1", Name: "taken"}, "lab", "the name is taken"},
		{Move{Device: "eth5"}, "lab", `device "eth5" would lose `},
		{Move{Device: "eth5x"}, "lab", `device "eth5x" is protected`},
		{Move{Device: "eth6", Force: true}, "lab", "eth6"},
	} {
		if _, err := n.Move(t.Context(), tc.move, tc.path); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: error is %v, want %s", tc.move, err, tc.want)
		}
	}
	n.breakJournal()
	if _, err := n.Move(t.Context(), Move{Device: "eth1"}, "lab"); err == nil || !strings.Contains(err.Error(), "journal: ") {
		t.Errorf("error is %v", err)
	}
	n.mendJournal()
	if got := n.journal.Homecomings(); got != written {
		t.Errorf("%d moves were begun", got-written)
	}
	n.asBefore(t, before)
}

// Every request of a move by hand fails in turn.
func TestMoveFails(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		n.AddNamespace("lab")
		before := n.World.String()
		n.Fail(step, netmovetest.Before)
		_, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "lab", Name: "net1"}, "lab")
		met := n.Calls() >= step
		n.Fail(0, netmovetest.Never)
		if err == nil {
			if r, err := n.ReturnByHand(Selection{All: true}); err != nil || len(r.Devices) != 1 {
				t.Errorf("step %d: returned %+v, %v", step, r, err)
			}
		} else if !errors.Is(err, netmovetest.ErrInjected) {
			t.Errorf("step %d: %v", step, err)
		}
		n.sweep()
		n.asBefore(t, before)
		if !met {
			return
		}
	}
}

// A name goes to another device between the two looks at it: what is moved is on the right
// record, and one that is gone is said to be.
func TestMovedDeviceIsExchanged(t *testing.T) {
	n := newNode(t, allowAll)
	n.AddNamespace("lab")
	pod := n.pod("a", "- name: eth1")
	n.Interrupt(3, func() { // after the first look
		if err := n.run(t.Context(), pod); err != nil {
			t.Error(err)
		}
	})
	_, err := n.Move(t.Context(), Move{Device: "eth1", Netns: "lab"}, "lab")
	if want := `device "eth1" is in use by pod default/a`; fmt.Sprint(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// A device that was chosen by what it is, and whose name another one has by then, is not taken.
func TestChosenDeviceIsExchanged(t *testing.T) {
	n := newNode(t, pools)
	n.moreDevices()
	n.Interrupt(2, func() {}) // counts from here
	list, err := n.host.List()
	if err != nil || len(list) == 0 {
		t.Fatal(err)
	}
	n.Interrupt(2, func() { // between the list and the look at the one that is meant
		n.host.Remove("ethm")
		n.host.Add(netmove.Snapshot{Name: "ethm", MTU: 1500, Identity: netmove.Identity{Kind: "veth"}})
	})
	_, err = Decide(n.mover, n.journal, n.Config(), config.Pod{Namespace: "default"},
		[]netmove.Request{{Match: netmove.Match{Driver: "macvlan"}}})
	if err == nil || !strings.Contains(err.Error(), `device "ethm" was chosen for the pod, and then another device got its name: not found`) {
		t.Errorf("error is %v", err)
	}
}

// Without a journal nothing is known of other pods, and the rest is decided all the same.
func TestDecideWithoutAJournal(t *testing.T) {
	n := newNode(t, pools)
	pod := config.Pod{Namespace: "default"}
	d, err := Decide(n.mover, nil, n.Config(), pod, []netmove.Request{{Pool: "fast"}, {Device: "eth1"}})
	if err != nil || len(d.Plan) != 2 || d.Plan[0].Before.Name != "eth3" {
		t.Errorf("decision %+v, %v", d, err)
	}
	for _, r := range []netmove.Request{{Device: "eth7"}, {Pool: "virtual"}, {Match: netmove.Match{Driver: "none"}}} {
		if _, err := Decide(n.mover, nil, n.Config(), pod, []netmove.Request{r}); !errors.Is(err, netmove.ErrNotFound) {
			t.Errorf("%v: %v", r, err)
		}
	}
}

// A fault of the kernel is told as what it is, and not as a device that is not there.
func TestDecideFails(t *testing.T) {
	for _, r := range []netmove.Request{{Device: "eth1"}, {Pool: "fast"}, {Match: netmove.Match{Driver: "ice"}}} {
		for step := 1; ; step++ {
			n := newNode(t, pools)
			n.moreDevices()
			n.Fail(step, netmovetest.Before)
			d, err := Decide(n.mover, n.journal, n.Config(), config.Pod{Namespace: "default"}, []netmove.Request{r})
			if n.Calls() < step {
				break
			}
			if err != nil && !errors.Is(err, netmovetest.ErrInjected) || err == nil && d.Plan[0].Before.Name == "" {
				t.Errorf("%v, step %d: %v", r, step, err)
			}
		}
	}
}

// What of a device only some requests need is read for these.
func TestFeaturesAreRead(t *testing.T) {
	n := newNode(t, strings.Replace(allowAll, "namespaces:", "settings: [ethtool]\n  namespaces:", 1))
	n.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: "eth5", MTU: 1500}, Facts: netmove.Facts{
		Features: map[string]netmove.Feature{"rx-gro": {On: true}},
	}})
	pod := n.pod("a", "- {name: eth5, ethtool: {features: {rx-gro: false}}}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	ns := n.namespaceOf(t, pod)
	if got, err := ns.Features(index(t, ns, "eth5")); err != nil || got["rx-gro"].On {
		t.Errorf("in the pod they are %+v, %v", got, err)
	}
	if err := n.run(t.Context(), n.pod("b", "- {name: eth1, ethtool: {features: {rx-gro: false}}}")); err == nil {
		t.Error("a feature that the device does not have is no reason to refuse")
	}
	err := n.run(t.Context(), n.pod("c", "- {name: eth7, ethtool: {features: {rx-gro: false}}}"))
	if want := `device "eth7" not found on this node`; fmt.Sprint(err) != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}

// Of several refusals of a pool's devices the first is told, that of the device that is meant
// first; an exhausted pool is a device in use.
func TestRefusalsOfAPool(t *testing.T) {
	n := newNode(t, pools)
	n.moreDevices()
	n.host.Add(netmove.Snapshot{Name: "other2", MTU: 1500})
	if err := n.run(t.Context(), n.pod("a", "- pool: others")); !strings.Contains(fmt.Sprint(err), `device "other1" is not allowed`) {
		t.Errorf("error is %v", err)
	}
	if err := n.run(t.Context(), n.pod("b", "- pool: virtual")); err != nil {
		t.Fatal(err)
	}
	err := n.run(t.Context(), n.pod("c", "- pool: virtual"))
	if inUse, ok := errors.AsType[*journal.InUseError](err); !ok || inUse.Device != "ethm" {
		t.Errorf("error is %v", err)
	}
}

// Many devices that are meant are not all listed.
func TestManyAreMeant(t *testing.T) {
	n := newNode(t, allowAll)
	for i := range 18 {
		n.host.Add(netmove.Snapshot{Name: fmt.Sprintf("ethm%02d", i), MTU: 1500, Identity: netmove.Identity{Kind: "macvlan"}})
	}
	err := n.run(context.Background(), n.pod("a", "- match: {driver: macvlan}"))
	if !strings.Contains(fmt.Sprint(err), `18 devices of this node are meant`) || !strings.Contains(fmt.Sprint(err), `"ethm15", and 2 more:`) || strings.Contains(fmt.Sprint(err), "ethm16") {
		t.Errorf("error is %v", err)
	}
}

// A pod of another tenant that asks for a device by what it is, or of a pool, is not told who
// has it.
func TestWhoHasItIsNotTold(t *testing.T) {
	n := newNode(t, pools)
	n.moreDevices()
	if err := n.run(t.Context(), n.pod("a", "- pool: virtual")); err != nil {
		t.Fatal(err)
	}
	for _, devices := range []string{"- pool: virtual", "- match: {driver: macvlan}"} {
		pod := n.pod("b", devices)
		pod.Pod.Namespace = "telco"
		if err := n.run(t.Context(), pod); err == nil || strings.Contains(err.Error(), "default/a") {
			t.Errorf("error is %v", err)
		}
	}
}
