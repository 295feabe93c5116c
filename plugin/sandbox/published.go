package sandbox

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// driverAway is how long after its last question a DRA driver counts as there. A driver
// always has a question open, which is answered after longPoll at the latest; the kubelet
// withdraws the devices of a driver that is away for 30 s.
const driverAway = 2 * time.Minute

// published knows whether the cluster's scheduler gives the devices of pools away: a DRA
// driver has asked for them lately. A file tells the next process, which must not give to
// annotations meanwhile what the scheduler has given to claims.
type published struct {
	path string
	now  func() netmove.BootOffset
	log  *slog.Logger

	mu    sync.Mutex
	asked netmove.BootOffset // when a driver asked last; 0 is never
}

func newPublished(state string, now func() netmove.BootOffset, log *slog.Logger) *published {
	p := &published{path: filepath.Join(state, "published"), now: now, log: log}
	if _, err := os.Lstat(p.path); err == nil {
		p.asked = max(now(), 1)
	}
	return p
}

// ask notes that a driver asks.
func (p *published) ask() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == 0 {
		p.log.Info("a DRA driver asks for the node's devices: those of pools are for claims alone, unless a pool is mixed")
		if err := os.WriteFile(p.path, nil, 0o600); err != nil {
			p.log.Warn("after a restart, devices of pools may go to annotations until the DRA driver asks again", "err", err)
		}
	}
	p.asked = max(p.now(), 1)
}

// yes reports whether devices of pools are published.
func (p *published) yes() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == 0 {
		return false
	}
	if time.Duration(p.now()-p.asked) < driverAway {
		return true
	}
	p.asked = 0
	p.log.Info("the DRA driver is gone: devices of pools are for annotations again")
	if err := os.Remove(p.path); err != nil {
		p.log.Warn("cannot note that the DRA driver is gone", "err", err)
	}
	return false
}
