package plugin

import (
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// absenceCounts is how long after its attach a sandbox's absence from the
// runtime's list means something: a list may have been made before the
// sandbox was in it.
const absenceCounts = 30 * time.Second

// ends finds the ends of pods that no hook tells: their Stop was due while the
// plugin was away, or the runtime has forgotten them in a restart.
//
// An end is suspected when the runtime's file of the namespace is gone, when
// the pause process is, or when the sandbox is absent from the runtime's list.
// Each of these can be false: a folder that is not mounted into the plugin's
// container, an "ip netns del", a list that lags, a second runtime. None of
// them counts without the proof that no process is left in the namespace, seen
// twice in a row, since processes come and go while one looks at them.
type ends struct {
	kernel netmove.Kernel
	log    *slog.Logger

	// visible is set when the processes of pods are known to be visible. In
	// another pid namespace than the runtime's every namespace looks empty.
	visible  atomic.Bool
	warnOnce sync.Once

	mu     sync.Mutex
	absent map[string]bool // sandboxes, by the last list
	proofs map[string]int  // sandboxes that were found empty, times in a row
}

func newEnds(kernel netmove.Kernel, log *slog.Logger) *ends {
	return &ends{kernel: kernel, log: log, absent: map[string]bool{}, proofs: map[string]int{}}
}

// connected takes in the pid of the runtime at the other end of a connection,
// which is 0 for a process that this one cannot see (SO_PEERCRED, unix(7)). Where
// the runtime is visible, so are the pods' processes, its descendants.
func (e *ends) connected(runtime int32) {
	e.visible.Store(runtime != 0)
	if runtime == 0 {
		e.warnOnce.Do(func() {
			e.log.Warn("the runtime's process cannot be seen, so the end of a pod that no hook tells is not found: run in the host's pid namespace (hostPID)")
		})
	}
}

// listed takes in which sandboxes the runtime has.
func (e *ends) listed(records []*journal.Record, has map[string]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.absent)
	for _, r := range records {
		if !has[r.Sandbox] && time.Since(r.Since) > absenceCounts {
			e.absent[r.Sandbox] = true
		}
	}
}

// ended reports whether nothing is left of the sandbox. It says so at the
// second call at the earliest.
func (e *ends) ended(r *journal.Record) bool {
	const proofsNeeded = 2
	empty := e.suspected(r) && e.empty(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !empty {
		delete(e.proofs, r.Sandbox)
		return false
	}
	e.proofs[r.Sandbox]++
	if e.proofs[r.Sandbox] < proofsNeeded {
		return false
	}
	delete(e.proofs, r.Sandbox)
	delete(e.absent, r.Sandbox)
	return true
}

// half reports whether there is a first proof of the end of any of the sandboxes
// that have devices, and forgets those of others.
func (e *ends) half(j *journal.Journal) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.proofs, func(sandbox string, _ int) bool {
		r, ok := j.Get(sandbox)
		return !ok || r.State != journal.Attached
	})
	return len(e.proofs) > 0
}

// suspected looks for the signs, which are cheap.
func (e *ends) suspected(r *journal.Record) bool {
	e.mu.Lock()
	absent := e.absent[r.Sandbox]
	e.mu.Unlock()
	return absent || e.fileGone(r) || e.pauseGone(r)
}

func (e *ends) fileGone(r *journal.Record) bool {
	inode, err := e.kernel.InodeAt(r.Netns.Path)
	return errors.Is(err, netmove.ErrNotFound) || (err == nil && inode != r.Netns.Inode)
}

func (e *ends) pauseGone(r *journal.Record) bool {
	if r.Netns.Pause == 0 {
		return false
	}
	in, err := e.kernel.Inhabits(r.Netns.Pause, r.Netns.Inode)
	return err == nil && !in
}

// empty is the proof.
func (e *ends) empty(r *journal.Record) bool {
	if !e.visible.Load() {
		return false
	}
	occupied, err := e.kernel.Occupied(r.Netns.Inode)
	if err != nil {
		recordLog(e.log, r).Debug("cannot tell whether a process is left in the pod", "err", err)
	}
	return err == nil && !occupied
}
