package plugin

import "sync"

// locks gives every sandbox a lock of its own. The zero value is ready.
//
// Order: one operation at a time on a sandbox. Two operations on different
// sandboxes may run together; the journal keeps them off each other's devices.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.Mutex
	users int // holder and waiters
}

// lock waits until the sandbox is free and returns what frees it.
func (l *locks) lock(sandbox string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	one, ok := l.held[sandbox]
	if !ok {
		one = &lock{}
		l.held[sandbox] = one
	}
	one.users++
	l.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.held, sandbox)
		}
	}
}
