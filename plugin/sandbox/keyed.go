package sandbox

import (
	"maps"
	"slices"
	"sync"
)

// keyed is a map that many goroutines use. The zero value is empty. A function that
// is passed to it must not use the same keyed, and no value may be used after the
// function has returned.
type keyed[V any] struct {
	mu     sync.Mutex
	values map[string]*V
}

// change calls f with the value of key, which is made if there is none.
func (k *keyed[V]) change(key string, f func(*V)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values == nil {
		k.values = map[string]*V{}
	}
	if k.values[key] == nil {
		k.values[key] = new(V)
	}
	f(k.values[key])
}

// look calls f with the value of key, and reports whether there is one.
func (k *keyed[V]) look(key string, f func(*V)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, ok := k.values[key]
	if ok {
		f(v)
	}
	return ok
}

// dropIf drops the value of key if there is one and f says so.
func (k *keyed[V]) dropIf(key string, f func(*V) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if v, ok := k.values[key]; ok && f(v) {
		delete(k.values, key)
	}
}

// drop drops the value of key, which need not exist.
func (k *keyed[V]) drop(key string) { k.dropIf(key, func(*V) bool { return true }) }

// keys lists the keys in order.
func (k *keyed[V]) keys() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.values))
}
