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

	// lookAgain is the pause until the next look if a look has left something open: a first
	// proof of an end, a device that was missing once, or annotations to read.
	lookAgain = 100 * time.Millisecond

	// lostKept is how long people can read the record of lost virtual devices.
	lostKept = 24 * time.Hour

	// mostLost bounds how many such records there are.
	mostLost = 64
)

// Recover completes what an earlier process left: it returns devices whose attach or return
// was not complete. Pods keep their other devices, and missing pins are made again. Recover
// is called once. Hooks may run meanwhile: a device that is not home goes to nobody else.
func (t *Table) Recover() {
	defer t.recovered.Store(true)
	for _, r := range t.left {
		if r.State == journal.Attaching || r.State == journal.Returning {
			t.observer.Recovers()
			t.returnAll(r.Sandbox, unfinished)
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

// Sweep recovers, and then does until ctx ends what no hook does: it completes returns,
// finds the ends of sandboxes, and looks for the devices of running ones.
func (t *Table) Sweep(ctx context.Context) {
	t.Recover()
	w := newWatch(t.kernel, t.log)
	defer w.close()
	t.sweepOn(ctx, w)
}

// sweepOn looks again and again: when the watch tells of something, and once in sweepEvery.
func (t *Table) sweepOn(ctx context.Context, w *watch) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for t.await(ctx, w, tick.C) {
		if t.sweep() {
			time.AfterFunc(lookAgain, w.now)
		}
		// Two looks must be apart: some facts count only when two looks find them.
		select {
		case <-ctx.Done():
		case <-time.After(lookAgain):
		}
	}
}

// await waits until the next look is due. It returns false if ctx ends before.
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
		case journal.Attaching: // its hook works on it
		}
	}
	t.forgetLost(lost)
	t.forgetAltered()
	t.forgetEnded()
	return t.reconcile() || t.unsure()
}

// tryAgain tries to complete a return, at most once in tryEvery.
func (t *Table) tryAgain(sandbox string) {
	due, now := false, t.mover.Now()
	t.memories.change(sandbox, func(one *memory) { due = isDue(&one.triedAt, now, tryEvery) })
	if due {
		t.returnAll(sandbox, unfinished)
	}
}

// save writes records that are not on disk. It logs a problem that is new.
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

// tend looks after an attached sandbox. It does not look for the end of a move by hand,
// which has none.
func (t *Table) tend(r *journal.Record) {
	if !r.Manual() && t.ended(placeOf(r)) {
		t.forget(r.Sandbox)
		t.returnAll(r.Sandbox, podGone)
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

// seekLost returns lost devices that are home again: hardware comes home when the namespace
// that hid it dies. Quarantined devices wait for an operator.
func (t *Table) seekLost(r *journal.Record) {
	if home, _ := split(r.Lost, t.isHome); len(home) > 0 {
		isOne := func(a netmove.Attachment) bool { return slices.ContainsFunc(home, same(a)) }
		_ = t.returnSome(r.Sandbox, strayed, isOne) // logged, and tried again
	}
}

// forgetLost removes records of lost virtual devices that are old, by the time since boot,
// or too many.
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

// keptFor returns how long this process has kept the record of a sandbox's lost devices.
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
