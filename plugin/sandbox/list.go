package sandbox

import (
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Listed is a sandbox of the runtime's list whose pod has the annotation.
type Listed struct {
	Sandbox
	Annotations map[string]string // of the pod; not read yet
	Populated   bool              // a container of it is in the list, too
}

// readFor bounds how long one sweep reads annotations: a pod's author may have written one
// that takes long.
const readFor = 10 * time.Millisecond

// List notes which sandboxes the runtime has, and which of them may ask for devices. It
// only stores: the sweep reads the annotations, so no pod can keep the runtime waiting.
func (t *Table) List(has map[string]bool, asking []Listed) {
	for _, l := range asking {
		if l.NetnsPath == "" {
			continue // it has stopped, or has the node's devices anyway
		}
		t.memories.describe(l.Sandbox, func(one *memory) {
			one.listed = true
			one.populated = one.populated || l.Populated
			one.unread = l.Annotations
		})
	}
	absent := func(id string, since time.Time) bool { return !has[id] && time.Since(since) > absenceCounts }
	for _, id := range t.memories.keys() {
		t.memories.look(id, func(one *memory) { one.absent = absent(id, one.since) })
	}
	for _, r := range t.journal.All() {
		t.memories.change(r.Sandbox, func(one *memory) { one.absent = absent(r.Sandbox, r.Since) })
	}
	select {
	case t.wake <- struct{}{}:
	default: // the sweep will look anyway
	}
}

// reconcile reads the annotations of listed sandboxes that have a container and no record.
// Sandboxes that ask for devices are missed: their containers would not expect devices
// now. It reports whether annotations are left to read.
func (t *Table) reconcile() (more bool) {
	began, read := time.Now(), 0
	for _, id := range t.memories.keys() {
		annotations := t.unread(id)
		if annotations == nil {
			continue
		}
		if read > 0 && time.Since(began) > readFor {
			return true
		}
		read++
		requests, err := config.ParseAnnotations(annotations)
		t.memories.look(id, func(one *memory) { one.unread = nil })
		if err != nil || len(requests) > 0 {
			t.miss(id, startedWithout)
		}
	}
	return false
}

// unread returns the annotations of a sandbox that are to be read, nil for none.
func (t *Table) unread(id string) (annotations map[string]string) {
	r, recorded := t.journal.Get(id)
	t.memories.look(id, func(one *memory) {
		switch {
		case recorded && r.State == journal.Attached, !recorded && !one.populated:
			one.unread = nil
		case !recorded:
			annotations = one.unread
		}
	})
	return annotations
}
