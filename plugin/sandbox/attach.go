package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// ErrHostNetwork refuses a pod that has no network namespace of its own.
var ErrHostNetwork = errors.New("pod uses the host network, where it has the node's devices already: remove the annotation or hostNetwork")

// beginTries bounds how often a decision is made again because a device came home
// meanwhile: the decision may have seen the device half restored.
const beginTries = 20

// Attach attaches all devices that the pod asks for, by the requests of its annotation and
// by the claims that are prepared for it. If it returns an error, it has
// attached none.
//
//	requests -> snapshots -> policy -> plan
//	-> journal begins -> devices move -> journal commits -> CDI specifications of claims
//	-> the caller is told -> the sandbox is published as Attached
func (t *Table) Attach(ctx context.Context, s Sandbox, requests []netmove.Request, answer Answer) error {
	if len(requests) == 0 && !t.Claimed(s.Pod.UID) {
		return nil
	}
	t.endEarlier(s)
	defer t.locks.lock(s.ID)()
	if ctx.Err() != nil { // the lock was not free in time
		return context.Cause(ctx)
	}
	if attached, err := t.attachedLocked(s.ID); attached {
		return err // the runtime asks twice
	}
	if t.memories.populated(s.ID) {
		return t.missedError(s.ID)
	}
	netns, err := t.openPod(s)
	if err != nil {
		return err
	}
	begin := func() (*journal.Record, error) { return t.begin(ctx, s, netns, requests) }
	return t.transact(ctx, netns, begin, answer)
}

// attachedLocked is attached for a caller that holds the sandbox's lock.
func (t *Table) attachedLocked(sandbox string) (yes bool, lacks error) {
	if r, ok := t.journal.Get(sandbox); ok && r.State == journal.Attached {
		return true, lacking(r)
	}
	return false, nil
}

// lacking says which devices an attached sandbox has lost, and why.
func lacking(r *journal.Record) error {
	if len(r.Problems) == 0 {
		return nil
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(r.Problems)) {
		texts = append(texts, fmt.Sprintf("device %q: %s", name, r.Problems[name].Text))
	}
	return missedFor(strings.Join(texts, "; "))
}

// transact writes the record of an attach, pins the namespace, and moves the devices. It
// closes netns, unless pins keeps the handle.
func (t *Table) transact(ctx context.Context, netns netmove.Namespace, begin func() (*journal.Record, error), answer Answer) error {
	record, err := begin()
	for tries := 1; errors.Is(err, journal.ErrStale) && tries < beginTries; tries++ {
		record, err = begin()
	}
	if err != nil {
		return errors.Join(err, netns.Close())
	}
	kept, err := t.pins.pin(record.Sandbox, netns)
	if err == nil {
		err = t.pins.holdPrograms(record)
	}
	if err != nil {
		err = errors.Join(err, t.abandon(record, nil))
	} else {
		err = t.move(ctx, netns, record, answer)
	}
	if kept {
		return err
	}
	return errors.Join(err, netns.Close())
}

// endEarlier returns the devices of earlier sandboxes of the same pod that have ended
// without a hook: the pod needs these devices now. It waits for a return that is under
// way. It holds no lock meanwhile, so two sandboxes cannot wait for each other.
func (t *Table) endEarlier(s Sandbox) {
	for _, r := range t.journal.All() {
		if r.Pod.UID != s.Pod.UID || r.Pod.UID == "" || r.Sandbox == s.ID {
			continue
		}
		// An error has been logged, and the new sandbox is refused then.
		switch {
		case r.State == journal.Returning:
			t.returnAll(r.Sandbox, unfinished)
		case r.State == journal.Attached && t.ends.empty(placeOf(r)):
			t.returnAll(r.Sandbox, podAgain)
		}
	}
}

// openPod opens the pod's network namespace, which must not be the host's.
func (t *Table) openPod(s Sandbox) (netmove.Namespace, error) {
	if s.NetnsPath == "" { // containerd names none for a pod on the host network
		return nil, ErrHostNetwork
	}
	netns, err := t.kernel.OpenNamespace(s.NetnsPath)
	if err != nil {
		return nil, err
	}
	if netns.Cookie() == t.mover.Host.Cookie() { // CRI-O names the host's own
		return nil, errors.Join(ErrHostNetwork, netns.Close())
	}
	return netns, nil
}

// begin decides and writes the record. From then on the devices are the sandbox's, though
// none has moved yet.
func (t *Table) begin(ctx context.Context, s Sandbox, netns netmove.Namespace, requests []netmove.Request) (*journal.Record, error) {
	since := t.journal.Homecomings()
	wishes, claims := t.join(s.Pod.UID, requests)
	d, err := decide(t.mover, t.journal, t.config.Load(), s.asker(), wishes, t.driver.yes())
	if err != nil {
		return nil, err
	}
	if err := t.mover.Prepare(netns, d.Plan); err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := t.estimate.fits(d.Plan, time.Until(deadline)); err != nil {
			return nil, err
		}
	}
	record := &journal.Record{
		Sandbox: s.ID, Pod: s.Pod,
		Netns: journal.Netns{Path: s.NetnsPath, Cookie: netns.Cookie(), Inode: netns.Inode(), Pause: s.Pause},
		State: journal.Attaching, Since: time.Now(), Claims: claims, Devices: d.Plan,
	}
	err = t.journal.Begin(record, since)
	if _, ok := errors.AsType[*journal.InUseError](err); ok && slices.ContainsFunc(d.Plan, fromPool) {
		return nil, fmt.Errorf("%w: %w", journal.ErrStale, err) // the pool may have another one
	}
	return record, err
}

func fromPool(a netmove.Attachment) bool { return a.Request.Pool != "" }

// move moves the devices of a record and commits it. If anything fails, all devices
// return. They also return if nobody waits for the answer any more: the pod may have
// containers by now that would not expect devices. If the pod has no container, the gate
// attaches the devices before the first one.
func (t *Table) move(ctx context.Context, netns netmove.Namespace, record *journal.Record, answer Answer) error {
	log := recordLog(t.log, record)
	began := time.Now()
	plan := netmove.Plan(record.Devices)
	tellLosses(log, plan)
	if err := t.mover.Attach(ctx, netns, plan); err != nil {
		return errors.Join(err, t.abandon(record, undoPart(err)))
	}
	took := time.Since(began)
	t.estimate.measured(plan, took)
	t.tellLate(record.Sandbox, plan)
	if err := t.commit(record, answer); err != nil {
		undo := t.mover.Undo(netns, plan)
		return errors.Join(err, undo, t.abandon(record, undo))
	}
	t.observer.Attached(took)
	t.compare(log, plan)
	log.Info("devices attached", "devices", summary(plan), "took", took)
	t.announce(record)
	return nil
}

// tellLosses logs which state of the host's the moves lose. An allow rule or an operator has
// accepted that, and whoever misses the state later finds the reason here.
func tellLosses(log *slog.Logger, plan netmove.Plan) {
	for _, a := range plan {
		if len(a.Loss) > 0 {
			log.Info("device loses state of the host, which is accepted", "device", a.Before.Name, "loses", netmove.Losses(a.Loss))
		}
	}
}

// undoPart returns err if it says that an undo is not complete, else nil.
func undoPart(err error) error {
	if errors.Is(err, netmove.ErrUndo) {
		return err
	}
	return nil
}

// commit writes that the sandbox has its devices, tells the caller, and publishes the
// record. It never writes the record of a late request: a pod with containers would not
// be found missed.
//
// Invariant: a sandbox is published as Attached only after the caller was told.
func (t *Table) commit(record *journal.Record, answer Answer) error {
	if err := answer.Late(); err != nil {
		return err
	}
	committed := *record
	committed.State, committed.Committed = journal.Attached, true
	publish, err := t.journal.Commit(&committed)
	if err == nil {
		err = t.openGate(&committed)
	}
	if err == nil {
		err = answer.Succeed()
	}
	if err == nil {
		publish()
		t.memories.look(record.Sandbox, func(one *memory) { one.missed = "" })
		return nil
	}
	// The undo does not wait for a full disk. If this write fails, a crash leaves a record
	// that says Attached, and the pod may have the devices.
	r := *record
	r.State = journal.Returning
	return errors.Join(err, t.closeGate(record), t.journal.Put(&r))
}

// abandon ends the record of an attach that failed. If undo is not nil, it leaves the
// rest to the sweep.
//
// Invariant: a record and its pin stay until every device of it is home.
func (t *Table) abandon(record *journal.Record, undo error) error {
	var err error
	if undo == nil {
		if err = t.release(record.Sandbox); err == nil {
			return nil
		}
	}
	r := *record
	r.State = journal.Returning
	return errors.Join(err, t.journal.Put(&r))
}

// release removes pin and record of a sandbox whose devices are all home, the pin first:
// there is no pin without a record.
func (t *Table) release(sandbox string) error {
	if err := t.pins.release(sandbox); err != nil {
		return err
	}
	return t.journal.Remove(sandbox)
}

// compare logs and counts the differences of attached devices.
func (t *Table) compare(log *slog.Logger, plan netmove.Plan) {
	for _, a := range plan {
		t.altered.drop(a.Before.Identity.RecognisableName())
		for _, d := range a.Differences {
			t.observer.Differs(PodSide, d.Attribute)
			log.Warn("device is not in the pod as meant", "device", a.Before.Name, "attribute", d.Attribute, "is", d.Text)
		}
	}
}

func summary(plan netmove.Plan) string {
	return strings.ReplaceAll(strings.TrimSpace(plan.String()), "\n", "; ")
}
