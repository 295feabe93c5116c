package plugin

import (
	"context"
	"sync"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// sweepEvery is how often unfinished returns are tried again.
const sweepEvery = time.Second

// Recover takes up what the process before this one left: what it had not
// completed is given back, and the namespaces of pods that have their devices
// are held open again. It is called once, before the plugin serves.
func (p *Plugin) Recover() {
	for _, r := range p.journal.All() {
		if r.State == journal.Attached {
			p.openHeld(recordLog(p.log, r), r)
			continue
		}
		p.giveBack(r.Sandbox, unfinished)
	}
}

// Sweep gives back, until ctx ends, what could not be given back when it was
// time: because a name was taken on the host, or the kernel refused.
func (p *Plugin) Sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, r := range p.journal.All() {
			if r.State == journal.Returning {
				p.giveBack(r.Sandbox, unfinished)
			}
		}
	}
}

// told remembers the last problem that was logged of each device, by inode.
// The zero value is ready.
type told struct {
	mu   sync.Mutex
	text map[uint64]string
}

// anew reports whether the problem is another one than the last.
func (t *told) anew(device uint64, text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == nil {
		t.text = map[uint64]string{}
	}
	if t.text[device] == text {
		return false
	}
	t.text[device] = text
	return true
}

func (t *told) forget(device uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.text, device)
}
