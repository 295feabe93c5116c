package sandbox

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const (
	// absenceCounts is how long after a sandbox was first heard of its absence from the
	// runtime's list means something: a list may be older than the sandbox.
	absenceCounts = 30 * time.Second

	// proofsNeeded is how often in a row a sandbox must be found ended, since processes
	// come and go while one looks at them.
	proofsNeeded = 2
)

// place is where a sandbox is, as far as its end can be seen from there.
type place struct {
	sandbox string
	path    string // of its network namespace
	inode   uint64 // of that; 0 is not known: the file was never seen
	pause   int    // pid of its pause process; 0 is not told
}

// ends finds the ends of sandboxes that no hook tells of: the hook was due while the
// plugin was away, or the runtime has forgotten the sandbox in a restart.
//
// An end is suspected when the runtime's file of the namespace is gone, when the pause
// process is, or when the sandbox is absent from the runtime's list. Each of these can
// be false: a folder that is not mounted into the plugin's container, an "ip netns del",
// a list that lags, a second runtime. None counts without the proof that no process is
// left in the namespace.
type ends struct {
	kernel Kernel
	log    *slog.Logger

	// visible is set when the processes of pods are known to be visible. In another pid
	// namespace than the runtime's every namespace looks empty.
	visible  atomic.Bool
	warnOnce sync.Once
}

func newEnds(kernel Kernel, log *slog.Logger) *ends {
	return &ends{kernel: kernel, log: log}
}

// seeRuntime notes the pid of the runtime, 0 for a process that this one cannot see.
// Where the runtime is visible, so are the pods' processes, its descendants.
func (e *ends) seeRuntime(pid int32) {
	e.visible.Store(pid != 0)
	if pid == 0 {
		e.warnOnce.Do(func() {
			e.log.Warn("the runtime's process cannot be seen, so the end of a pod that no hook tells is not found: run in the host's pid namespace (hostPID)")
		})
	}
}

// fileGone reports whether the runtime's file of the namespace is gone or another one.
func (e *ends) fileGone(p place) bool {
	inode, err := e.kernel.InodeAt(p.path)
	return errors.Is(err, netmove.ErrNotFound) || (err == nil && inode != p.inode)
}

// pauseGone reports whether the pause process has ended.
func (e *ends) pauseGone(p place) bool {
	if p.pause == 0 {
		return false
	}
	in, err := e.kernel.Inhabits(p.pause, p.inode)
	return err == nil && !in
}

// signs reports whether the end of the sandbox is seen from its place, which may be false.
func (e *ends) signs(p place) bool { return e.fileGone(p) || e.pauseGone(p) }

// empty reports whether it is proven that no process is left in the sandbox. Of a namespace
// that was never seen, nothing is proven.
func (e *ends) empty(p place) bool {
	if p.inode == 0 || !e.visible.Load() {
		return false
	}
	occupied, err := e.kernel.Occupied(p.inode)
	if err != nil {
		e.log.Debug("cannot tell whether a process is left in the pod", "sandbox", p.sandbox, "err", err)
		return false
	}
	return !occupied
}

// ended reports whether the sandbox has ended. It says so at the second call at the
// earliest.
func (t *Table) ended(p place) bool {
	return t.proven(p, (t.memories.absent(p.sandbox) || t.ends.signs(p)) && t.ends.empty(p))
}

// endedWithoutRecord is ended for a sandbox that holds nothing. That the runtime does not
// list it is enough then: nothing is lost by it.
func (t *Table) endedWithoutRecord(p place) bool {
	return t.proven(p, t.memories.absent(p.sandbox) || t.ends.signs(p) && t.ends.empty(p))
}

// proven counts the proofs of an end that follow on one another.
func (t *Table) proven(p place, found bool) bool {
	proofs := 0
	t.memories.change(p.sandbox, func(one *memory) {
		one.proofs++
		if !found {
			one.proofs = 0
		}
		proofs = one.proofs
	})
	return proofs >= proofsNeeded
}

// unsure reports whether something was seen once that counts when it is seen again: the end
// of a sandbox, or that a device is missing.
func (t *Table) unsure() (yes bool) {
	for _, sandbox := range t.memories.keys() {
		t.memories.look(sandbox, func(one *memory) { yes = yes || one.proofs > 0 || one.missing })
	}
	return yes
}
