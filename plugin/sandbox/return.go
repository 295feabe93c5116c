package sandbox

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// reason says why devices are returned, for the log.
type reason string

const (
	podEnded   reason = "the pod ended"
	podGone    reason = "nothing is left of the pod"
	podAgain   reason = "the pod starts again in a new sandbox"
	unfinished reason = "an earlier operation was not completed"
	strayed    reason = "it came home by itself"
	byHand     reason = "an operator wants it"
)

// End returns the devices of a sandbox that has ended, as its runtime says. It may be
// called any number of times, in any order with other calls. It logs what it cannot return
// now, and leaves that to the sweep.
func (t *Table) End(sandbox string) {
	t.forget(sandbox) // while its devices go, it is not missed
	t.returnAll(sandbox, podEnded)
	t.forget(sandbox)
}

// returnAll returns all devices of a sandbox. Those that cannot be returned, or are home and
// not yet as they were, stay in the journal for the sweep.
func (t *Table) returnAll(sandbox string, why reason) {
	defer t.locks.lock(sandbox)()
	record, ok := t.journal.Get(sandbox)
	if !ok || record.State == journal.Lost || record.State == journal.Quarantined {
		return
	}
	if why == unfinished && record.State == journal.Attached {
		return // it was completed, and the sandbox has its devices again
	}
	r := t.returning(record, why)
	// Invariant: a sandbox leaves Attached before its first device does. The return does
	// not depend on the write: a full disk must not keep a device in a dead pod.
	r.left.State = journal.Returning
	r.check("close the gate of its claims", t.closeGate(record))
	r.check("write the record", t.journal.Put(&r.left))
	r.left.Devices, r.left.Lost = nil, nil
	_ = r.run(slices.Concat(record.Devices, record.Lost)) // logged, and tried again
}

// returnSome returns the devices for which some is true; the sandbox keeps the others. Lost
// and quarantined devices get another try.
func (t *Table) returnSome(sandbox string, why reason, some func(netmove.Attachment) bool) error {
	defer t.locks.lock(sandbox)()
	record, ok := t.journal.Get(sandbox)
	if !ok || record.State == journal.Attaching {
		return nil
	}
	r := t.returning(record, why)
	var devices [3][]netmove.Attachment
	for i, list := range []*[]netmove.Attachment{&r.left.Devices, &r.left.Quarantined, &r.left.Lost} {
		devices[i], *list = split(*list, some)
	}
	if len(r.left.Devices) == 0 {
		r.left.State = journal.Returning
	}
	if record.State == journal.Attached {
		r.markLacking(devices[0])
	}
	r.away = len(r.left.Devices) > 0
	return r.run(slices.Concat(devices[:]...))
}

// split separates the attachments for which holds is true from the others.
func split(list []netmove.Attachment, holds func(netmove.Attachment) bool) (yes, no []netmove.Attachment) {
	for _, a := range list {
		if holds(a) {
			yes = append(yes, a)
		} else {
			no = append(no, a)
		}
	}
	return yes, no
}

// returning is one try to return devices of a sandbox.
type returning struct {
	*Table
	log    *slog.Logger
	why    reason
	before *journal.Record
	left   journal.Record // the record after the try
	home   []string       // names of devices that are home and free
	away   bool           // a device is, or may be, still in the pod
	pinned bool           // the namespace could not be let go of
	failed []error        // why devices are not as they were
}

func (t *Table) returning(record *journal.Record, why reason) *returning {
	r := &returning{Table: t, log: recordLog(t.log, record), why: why, before: record, left: *record}
	r.left.Problems = map[string]journal.Problem{}
	maps.Copy(r.left.Problems, record.Problems)
	t.memories.look(record.Sandbox, func(one *memory) { one.missing = false }) // it is looked for now
	return r
}

// markLacking publishes which devices an attached sandbox is about to lose, before it does.
func (r *returning) markLacking(devices []netmove.Attachment) {
	going := r.left
	going.Devices, going.Quarantined, going.Lost = r.before.Devices, r.before.Quarantined, r.before.Lost
	going.Problems = maps.Clone(r.left.Problems)
	for _, a := range devices {
		if _, known := going.Problems[a.Before.Name]; !known {
			going.Problems[a.Before.Name] = journal.Problem{Text: "it is being returned: " + string(r.why)}
		}
	}
	r.check("write the record", r.journal.Put(&going))
	r.check("close the gate of its claims", r.tendGate(&going))
}

// run returns the devices and writes what is left.
func (r *returning) run(devices []netmove.Attachment) error {
	began := time.Now()
	r.all(devices)
	r.observer.ReturnTook(time.Since(began))
	if !r.away && len(r.left.Quarantined) == 0 {
		err := r.pins.release(r.left.Sandbox)
		r.check("let go of the pod's network namespace", err)
		r.pinned = err != nil
	}
	r.write()
	if len(r.home) > 0 {
		r.log.Info("devices returned", "why", string(r.why), "devices", r.home, "took", time.Since(began))
	}
	return errors.Join(r.failed...)
}

// check logs an error that is new.
func (r *returning) check(what string, err error) {
	if err != nil && r.memories.news(r.left.Sandbox, what, err.Error()) {
		r.log.Error("cannot "+what, "err", err)
	}
}

// all returns the devices. What is being announced of them ends before. Without devices it does
// not open the namespace.
func (r *returning) all(devices []netmove.Attachment) {
	if len(devices) == 0 {
		return
	}
	for _, a := range devices {
		r.announcements.end(deviceKey(a))
	}
	netns, closeNetns, err := r.pins.namespace(&r.left)
	if err != nil {
		r.away = true
		r.failed = append(r.failed, err)
		if r.memories.news(r.left.Sandbox, "", err.Error()) {
			r.log.Error("cannot open the pod's network namespace", "err", err)
		}
		r.left.Devices = slices.Concat(r.left.Devices, devices)
		return
	}
	if netns == nil && r.memories.news(r.left.Sandbox, "", "gone") {
		r.log.Warn("the pod's network namespace is gone", "netns", r.left.Netns.Path)
	}
	kept, held, lost := len(r.left.Devices), len(r.left.Quarantined), len(r.left.Lost)
	for _, i := range netmove.Homeward(devices) {
		r.one(netns, devices[i])
	}
	// Back in their order: a try that changes nothing must not change the record.
	for _, list := range [][]netmove.Attachment{r.left.Devices[kept:], r.left.Quarantined[held:], r.left.Lost[lost:]} {
		place := func(a netmove.Attachment) int { return slices.IndexFunc(devices, same(a)) }
		slices.SortFunc(list, func(a, b netmove.Attachment) int { return place(a) - place(b) })
	}
	r.check("close the pod's network namespace", closeNetns())
}

// one returns one device and files it by the outcome.
func (r *returning) one(netns netmove.Namespace, a netmove.Attachment) {
	back := a
	if r.left.Committed && r.config.Load().OnReturn == config.Down {
		back.Before = a.Before.LeftDown()
	}
	err := r.mover.Return(netns, &back)
	a.Downed = back.Downed
	how := outcomeOf(err, back.Guard, func() bool { return r.enough(a) })
	delete(r.left.Problems, a.Before.Name)
	if err != nil {
		r.failed = append(r.failed, err)
	}
	switch how {
	case OutcomeReturned, OutcomeAltered:
		r.isHome(a, how, err)
	case OutcomeQuarantined:
		r.isQuarantined(a, err)
	case OutcomeLost:
		r.isLost(a, err)
	case OutcomeAgain:
		r.again(a, err)
		return
	}
	r.memories.done(r.left.Sandbox, deviceKey(a))
	if !(how == OutcomeLost && r.wasLost(a)) { // else it was counted before
		r.observer.Returned(how)
	}
}

// wasLost reports whether the device was lost before this try.
func (r *returning) wasLost(a netmove.Attachment) bool {
	return slices.ContainsFunc(r.before.Lost, same(a))
}

// deviceKey identifies a device, whatever its name.
func deviceKey(a netmove.Attachment) string { return a.Before.Identity.RecognisableName() }

// enough counts a try to return the device, and reports whether it was the last.
func (r *returning) enough(a netmove.Attachment) bool {
	return r.why == byHand || r.wasLost(a) || r.memories.try(r.left.Sandbox, deviceKey(a)) >= enoughTries
}

// same returns a function that reports whether an attachment is of a's device.
func same(a netmove.Attachment) func(netmove.Attachment) bool {
	return among([]netmove.Identity{a.Before.Identity})
}

// among returns a function that reports whether an attachment is of one of the devices.
func among(devices []netmove.Identity) func(netmove.Attachment) bool {
	return func(a netmove.Attachment) bool { return slices.ContainsFunc(devices, a.Before.Identity.Same) }
}

// isHome files a device that is home and free.
func (r *returning) isHome(a netmove.Attachment, how Outcome, err error) {
	r.home = append(r.home, a.Before.Name)
	if how == OutcomeAltered {
		r.alter(a, r.left.Holder(), err)
		r.log.Error("device is home, and not quite as it was", "device", a.Before.Name, "err", err)
	}
	if r.left.State == journal.Attached {
		r.left.Problems[a.Before.Name] = journal.Problem{Text: "it was returned: " + string(r.why)}
	}
}

// isQuarantined files a device that is home with something of the pod's on it.
func (r *returning) isQuarantined(a netmove.Attachment, err error) {
	r.left.Quarantined = append(slices.Clone(r.left.Quarantined), a)
	r.problem(a, err)
	r.log.Error("device is quarantined: it stays down, and nobody gets it, until it is returned by hand",
		"device", a.Before.Name, "err", err, "hint", "remove what is on it, then: nri-netdev return "+a.Before.Name)
}

// isLost files a device that cannot be found. A return by hand forgets it if it is virtual.
// Hardware stays on record: it may come home later, as the pod left it.
func (r *returning) isLost(a netmove.Attachment, err error) {
	if r.why == byHand && !hardware(a) { // the operator is told, and the pod still lacks it
		if r.left.State == journal.Attached {
			r.problem(a, err)
		}
		return
	}
	r.left.Lost = append(slices.Clone(r.left.Lost), a)
	r.problem(a, err)
	if !r.wasLost(a) {
		r.log.Error("device is lost", "device", a.Before.Name, "err", err)
	}
}

// hardware reports whether the kernel brings the device home when its namespace dies. A
// virtual device dies with the namespace.
func hardware(a netmove.Attachment) bool { return a.Before.Identity.Parent != "" }

// again files a device for another try. It logs only an error that is new, since the sweep
// tries every second.
func (r *returning) again(a netmove.Attachment, err error) {
	r.left.Devices = append(slices.Clone(r.left.Devices), a)
	r.away = r.away || !errors.Is(err, netmove.ErrDiffers)
	r.problem(a, err)
	if !errors.Is(err, netmove.ErrLost) && r.memories.news(r.left.Sandbox, deviceKey(a), err.Error()) {
		r.log.Error("device cannot be returned yet", "device", a.Before.Name, "err", err)
	}
}

func (r *returning) problem(a netmove.Attachment, err error) {
	r.left.Problems[a.Before.Name] = journal.Problem{Misnamed: errors.Is(err, netmove.ErrMisnamed), Text: err.Error()}
}

// write writes what is left.
func (r *returning) write() {
	switch {
	case len(r.left.Devices) > 0 || r.pinned:
	case len(r.left.Quarantined) > 0:
		r.left.State = journal.Quarantined
	case len(r.left.Lost) > 0:
		r.left.State = journal.Lost
	default:
		err := r.journal.Remove(r.left.Sandbox)
		if r.check("remove the record", err); err == nil {
			return
		}
		// The record stays, but without devices: none of them is returned again.
	}
	if ended := r.left.State == journal.Quarantined || r.left.State == journal.Lost; ended && r.left.Ended.IsZero() {
		r.left.Ended = time.Now()
	}
	r.check("write the record", r.journal.Put(&r.left))
}
