package plugin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

const (
	// sweepEvery is how often the sweep looks at the records, if nothing wakes it.
	sweepEvery = time.Second

	// lookAgain is how long after the first proof that a pod has ended the
	// second one is sought.
	lookAgain = 100 * time.Millisecond

	// lostKept is how long the record of lost devices is kept for people.
	lostKept = 24 * time.Hour
)

// Recover takes up what the process before this one left: what it had not
// completed is given back; what pods have, they keep, and their namespaces are
// pinned again where the pin is gone. It is called once, and the plugin may
// serve meanwhile: what is not home yet is nobody else's.
func (p *Plugin) Recover() {
	defer p.recovered.Store(true)
	for _, r := range p.left {
		if r.State == journal.Attaching || r.State == journal.Returning {
			p.metrics.recoveries.Inc()
			_ = p.giveBack(r.Sandbox, unfinished) // logged, and tried again
		} else if err := p.holds.holdPrograms(r); err != nil {
			recordLog(p.log, r).Warn("a program of the host's is gone while the pod does without it", "err", err)
		}
	}
	p.sweep()
	if err := p.holds.clean(p.journal); err != nil {
		p.log.Error("cannot remove pins without a record", "err", err)
	}
}

// Sweep recovers, and then does, until ctx ends, what no hook is there for: it
// finishes returns that could not be finished when it was time, and finds the
// ends of pods that nobody told.
func (p *Plugin) Sweep(ctx context.Context) {
	p.Recover()
	w := newWake(p.mover.Kernel, p.log)
	defer w.close()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for p.await(ctx, w, tick.C) {
		p.sweep()
	}
}

// await waits until it is time for a look, and reports whether there is to be
// one.
func (p *Plugin) await(ctx context.Context, w *wake, tick <-chan time.Time) bool {
	if p.ends.half(p.journal) {
		time.AfterFunc(lookAgain, w.now)
	}
	w.follow(p.journal.All())
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case <-w.died:
			return true
		case e := <-w.events():
			if w.matters(e) {
				return true
			}
		case err := <-w.overflows():
			p.log.Debug("some events of inotify are lost", "err", err)
			return true
		}
	}
}

func (p *Plugin) sweep() {
	if anew, err := p.journal.Restore(); anew || err != nil {
		p.log.Error("the folder of the journal was removed: its records are written again", "err", err)
	}
	for _, r := range p.journal.All() {
		switch r.State {
		case journal.Returning:
			_ = p.giveBack(r.Sandbox, unfinished) // logged, and tried again
		case journal.Attached:
			p.watch(r)
		case journal.Lost, journal.Quarantined:
			p.watchLost(r)
		case journal.Attaching: // its hook is at work on it
		}
	}
}

// watch looks after a sandbox that has its devices. What was moved by hand has
// no end that could be found.
func (p *Plugin) watch(r *journal.Record) {
	if !r.Manual() && p.ends.ended(r) {
		_ = p.giveBack(r.Sandbox, podGone) // logged, and tried again
		return
	}
	var home []netmove.Identity
	for _, a := range r.Devices {
		if _, begun := r.Problems[a.Before.Name]; begun || p.isHome(a) {
			home = append(home, a.Before.Identity)
		}
	}
	if len(home) > 0 {
		_ = p.giveBackSome(r.Sandbox, strayed, among(home)) // logged, and tried again
	}
	p.tend(r.Sandbox)
}

// among tells the attachments of these devices.
func among(devices []netmove.Identity) func(netmove.Attachment) bool {
	return func(a netmove.Attachment) bool { return slices.ContainsFunc(devices, a.Before.Identity.Same) }
}

// tend keeps the sandbox's pin in place. The record may have changed since the
// sweep began.
func (p *Plugin) tend(sandbox string) {
	defer p.locks.lock(sandbox)()
	r, ok := p.journal.Get(sandbox)
	if !ok || r.State != journal.Attached {
		return
	}
	if err := p.holds.renew(r); err != nil && p.told.anew(sandbox, err.Error()) {
		recordLog(p.log, r).Error("cannot pin the pod's network namespace again", "err", err)
	}
}

// isHome reports whether hardware that the journal has in a pod is on the host:
// the pod took it to a namespace of its own, and the kernel brings hardware
// home when that dies, under whatever name it has there. Virtual devices die.
func (p *Plugin) isHome(a netmove.Attachment) bool {
	if a.Before.Identity.Parent == "" {
		return false
	}
	_, err := p.mover.Host.Locate(a.Before.Identity, 0)
	return err == nil
}

// watchLost takes up hardware that was lost and is there again, and forgets the
// record of what is lost in the end. What is quarantined waits for an operator.
func (p *Plugin) watchLost(r *journal.Record) {
	if lost, _ := split(r.Lost, p.isHome); len(lost) > 0 {
		_ = p.giveBackSome(r.Sandbox, strayed, p.isHome) // logged, and tried again
		return
	}
	if r.State != journal.Lost || time.Since(r.Ended) < lostKept {
		return
	}
	if err := p.journal.Remove(r.Sandbox); err != nil {
		recordLog(p.log, r).Error("cannot remove the record of lost devices", "err", err)
	}
}

// misses counts by how many looks in a row a device was not found. The zero
// value is ready.
type misses struct {
	mu    sync.Mutex
	count map[string]int
}

func (m *misses) add(device string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count == nil {
		m.count = map[string]int{}
	}
	m.count[device]++
	return m.count[device]
}

func (m *misses) forget(device string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.count, device)
}

// told remembers the last problem that was logged of each thing. The zero
// value is ready.
type told struct {
	mu   sync.Mutex
	text map[string]string
}

// anew reports whether the problem is another one than the last.
func (t *told) anew(thing, text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == nil {
		t.text = map[string]string{}
	}
	if t.text[thing] == text {
		return false
	}
	t.text[thing] = text
	return true
}

func (t *told) forget(thing string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.text, thing)
}
