package sandbox

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

const (
	// sweepEvery is how often the sweep looks at the records, if nothing wakes it.
	sweepEvery = time.Second

	// tryEvery is how often a return that is not complete is tried again: at each tick.
	tryEvery = sweepEvery * 9 / 10

	// lookAgain is how long after a look that has not settled everything the next one
	// follows: after the first proof of an end, or the first look for a device in vain, and
	// while annotations are left to read.
	lookAgain = 100 * time.Millisecond

	// lostKept is how long the record of lost virtual devices is kept for people.
	lostKept = 24 * time.Hour

	// mostLost bounds how many such records there are.
	mostLost = 64
)

// Recover completes what the process before this one left: what it had not completed is
// returned; what pods have, they keep, and their namespaces are pinned again where the pin is
// gone. It is called once. Hooks may be served meanwhile: what is not home yet is nobody
// else's.
func (t *Table) Recover() {
	defer t.recovered.Store(true)
	for _, r := range t.left {
		if r.State == journal.Attaching || r.State == journal.Returning {
			t.observer.Recovers()
			_ = t.returnAll(r.Sandbox, unfinished) // logged, and tried again
		} else if err := t.pins.holdPrograms(r); err != nil {
			recordLog(t.log, r).Warn("a program of the host's is gone while the pod does without it", "err", err)
		}
	}
	t.left = nil
	t.sweep()
	if err := t.pins.clean(t.journal); err != nil {
		t.log.Error("cannot remove pins without a record", "err", err)
	}
}

// Sweep recovers, and then does, until ctx ends, what no hook is there for: it completes
// returns, finds the ends of sandboxes, and looks for the devices of those that run.
func (t *Table) Sweep(ctx context.Context) {
	t.Recover()
	w := newWatch(t.kernel, t.log)
	defer w.close()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for t.await(ctx, w, tick.C) {
		if t.sweep() {
			time.AfterFunc(lookAgain, w.now)
		}
		// What is seen twice in a row is seen at two times.
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
}

// await waits until it is time for a look, and reports whether there is to be one.
func (t *Table) await(ctx context.Context, w *watch, tick <-chan time.Time) bool {
	w.follow(t.journal.All())
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-w.died:
			return true
		case <-t.wake:
			return true
		case e := <-w.events():
			if w.matters(e) {
				return true
			}
		case err := <-w.overflows():
			t.log.Debug("some events of inotify are lost", "err", err)
			return true
		}
	}
}

// sweep looks at every record and every memory once. It reports whether the next look
// should follow soon.
func (t *Table) sweep() (soon bool) {
	t.save()
	var lost []*journal.Record
	for _, r := range t.journal.All() {
		switch r.State {
		case journal.Returning:
			t.tryAgain(r.Sandbox)
		case journal.Attached:
			t.tend(r)
		case journal.Lost, journal.Quarantined:
			if t.seekLost(r); r.State == journal.Lost && !slices.ContainsFunc(r.Lost, hardware) {
				lost = append(lost, r)
			}
		case journal.Attaching: // its hook is at work on it
		}
	}
	t.forgetLost(lost)
	t.forgetAltered()
	t.forgetEnded()
	return t.reconcile() || t.unsure()
}

// tryAgain tries to complete a return, once in tryEvery however often the sweep looks.
func (t *Table) tryAgain(sandbox string) {
	due, now := false, t.mover.Now()
	t.memories.change(sandbox, func(one *memory) { due = isDue(&one.triedAt, now, tryEvery) })
	if due {
		_ = t.returnAll(sandbox, unfinished) // logged, and tried again
	}
}

// save writes records again that are not on disk. It logs a problem when it is new.
func (t *Table) save() {
	saved, err := t.journal.Save()
	if len(saved) > 0 {
		t.log.Warn("records were not on disk, since a write had failed or their files were removed: they are written again", "sandboxes", saved)
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	if last := t.unsaved.Swap(&text); err != nil && (last == nil || *last != text) {
		t.log.Error("cannot write the journal: free space or mend the state folder", "err", err)
	}
}

// tend looks after a sandbox that has its devices. What was moved by hand has no end that
// could be found.
func (t *Table) tend(r *journal.Record) {
	if !r.Manual() && t.ended(placeOf(r)) {
		t.forget(r.Sandbox)
		_ = t.returnAll(r.Sandbox, podGone) // logged, and tried again
		t.forget(r.Sandbox)
		return
	}
	begun, home := t.tendLocked(r.Sandbox)
	if len(begun) > 0 {
		_ = t.returnSome(r.Sandbox, unfinished, among(begun)) // logged, and tried again
	}
	if len(home) > 0 {
		_ = t.returnSome(r.Sandbox, strayed, among(home)) // logged, and tried again
		t.missWithout(r.Sandbox, cameHome)
	}
}

// seekLost takes up devices that were lost and are home again: hardware comes home when the
// namespace that it was hidden in dies. What is quarantined waits for an operator.
func (t *Table) seekLost(r *journal.Record) {
	if home, _ := split(r.Lost, t.isHome); len(home) > 0 {
		isOne := func(a netmove.Attachment) bool { return slices.ContainsFunc(home, same(a)) }
		_ = t.returnSome(r.Sandbox, strayed, isOne) // logged, and tried again
	}
}

// forgetLost removes records of lost virtual devices that were kept for long enough, by the
// time since boot, or that are too many.
//
// Invariant: hardware that is lost stays on record until the node boots.
func (t *Table) forgetLost(records []*journal.Record) {
	slices.SortFunc(records, func(a, b *journal.Record) int { return cmp.Compare(b.Ended.UnixNano(), a.Ended.UnixNano()) })
	for i, r := range records {
		if i < mostLost && t.keptFor(r.Sandbox) < lostKept {
			continue
		}
		if err := t.journal.Remove(r.Sandbox); err != nil && t.memories.news(r.Sandbox, "", err.Error()) {
			recordLog(t.log, r).Error("cannot remove the record of lost devices", "err", err)
		}
	}
}

// keptFor is how long this process has kept the record of a sandbox's lost devices.
func (t *Table) keptFor(sandbox string) (d time.Duration) {
	now := t.mover.Now()
	t.memories.change(sandbox, func(one *memory) {
		if one.endedAt == 0 {
			one.endedAt = now
		}
		d = time.Duration(now - one.endedAt)
	})
	return d
}
