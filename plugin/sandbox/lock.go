package sandbox

import "sync"

// locks gives every sandbox a lock of its own. The zero value is ready.
type locks struct{ held keyed[lock] }

type lock struct {
	mutex *sync.Mutex
	users int // holder and waiters
}

// lock waits until the sandbox is free and returns what frees it.
func (l *locks) lock(sandbox string) (unlock func()) {
	var mutex *sync.Mutex
	l.held.change(sandbox, func(one *lock) {
		if one.mutex == nil {
			one.mutex = &sync.Mutex{}
		}
		one.users++
		mutex = one.mutex
	})
	mutex.Lock()
	return func() {
		mutex.Unlock()
		l.held.dropIf(sandbox, func(one *lock) bool {
			one.users--
			return one.users == 0
		})
	}
}
