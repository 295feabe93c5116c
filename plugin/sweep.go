package plugin

import (
	"context"
	"sync"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

const (
	// sweepEvery is how often the sweep looks at the records.
	sweepEvery = time.Second

	// lostKept is how long the record of lost devices is kept for people.
	lostKept = 24 * time.Hour
)

// Recover takes up what the process before this one left: what it had not
// completed is given back; what pods have, they keep, and their namespaces are
// pinned again where the pin is gone. It is called once, before the plugin
// serves.
func (p *Plugin) Recover() {
	for _, r := range p.journal.All() {
		if r.State == journal.Attaching || r.State == journal.Returning {
			p.giveBack(r.Sandbox, unfinished)
		}
	}
	p.sweep()
	if err := p.holds.clean(p.journal); err != nil {
		p.log.Error("cannot remove pins without a record", "err", err)
	}
}

// Sweep does, until ctx ends, what no hook is there for: it finishes returns
// that could not be finished when it was time, and finds the ends of pods that
// nobody told.
func (p *Plugin) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.sweep()
		}
	}
}

func (p *Plugin) sweep() {
	for _, r := range p.journal.All() {
		switch r.State {
		case journal.Returning:
			p.giveBack(r.Sandbox, unfinished)
		case journal.Attached:
			p.watch(r)
		case journal.Lost:
			p.forgetLost(r)
		case journal.Attaching: // its hook is at work on it
		}
	}
}

// watch looks after a sandbox that has its devices.
func (p *Plugin) watch(r *journal.Record) {
	if p.ends.ended(r) {
		p.giveBack(r.Sandbox, podGone)
		return
	}
	if err := p.holds.renew(r); err != nil && p.told.anew(r.Netns.Cookie, err.Error()) {
		recordLog(p.log, r).Error("cannot pin the pod's network namespace again", "err", err)
	}
}

func (p *Plugin) forgetLost(r *journal.Record) {
	if time.Since(r.Ended) < lostKept {
		return
	}
	if err := p.journal.Remove(r.Sandbox); err != nil {
		recordLog(p.log, r).Error("cannot remove the record of lost devices", "err", err)
	}
}

// told remembers the last problem that was logged of each thing, by a number
// that no other thing has. The zero value is ready.
type told struct {
	mu   sync.Mutex
	text map[uint64]string
}

// anew reports whether the problem is another one than the last.
func (t *told) anew(thing uint64, text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == nil {
		t.text = map[uint64]string{}
	}
	if t.text[thing] == text {
		return false
	}
	t.text[thing] = text
	return true
}

func (t *told) forget(thing uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.text, thing)
}
