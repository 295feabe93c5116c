package sandbox

import (
	"context"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Listed is a sandbox of the runtime's list whose pod has the annotation, or a claim.
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
			if one.unread = l.Annotations; one.unread == nil {
				one.unread = map[string]string{} // of a pod with a claim alone
			}
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

// reconcile reads the annotations of listed sandboxes without a record. Sandboxes that have
// a container and ask for devices are missed: their containers would not expect devices
// now. Those that have none, and a claim, get their devices: no container that names the
// claim starts before. It reports whether annotations are left to read.
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
		if t.memories.populated(id) {
			t.missListed(id, err != nil || len(requests) > 0)
		} else {
			t.attachListed(id, requests, err)
		}
	}
	return false
}

// missListed notes that a sandbox of the list runs without devices, if it asks for some by
// its annotation or has a claim.
func (t *Table) missListed(id string, asks bool) {
	t.memories.look(id, func(one *memory) {
		one.unread = nil
		asks = asks || t.Claimed(one.Pod.UID)
	})
	if asks {
		t.miss(id, startedWithout)
	}
}

// attachListed attaches the devices of a sandbox of the list that has a claim and no
// container. The sweep calls it again until that succeeds, or the sandbox ends.
func (t *Table) attachListed(id string, requests []netmove.Request, err error) {
	var s Sandbox
	t.memories.look(id, func(one *memory) { s, one.late = one.Sandbox, true })
	if err == nil {
		ctx := context.Background() // the next process completes what this one cannot
		err = t.Attach(ctx, s, requests, untilDone{ctx})
	}
	if err == nil {
		t.memories.look(id, func(one *memory) { one.unread = nil })
	} else if t.memories.news(id, "", err.Error()) {
		s.Log(t.log).Error("the pod waits for the devices of its claims, trying again", "err", err)
	}
}

// unread returns the annotations of a sandbox that are to be read, nil for none.
func (t *Table) unread(id string) (annotations map[string]string) {
	r, recorded := t.journal.Get(id)
	now := t.mover.Now()
	t.memories.look(id, func(one *memory) {
		switch {
		case recorded && r.State == journal.Attached, !recorded && !one.populated && !t.Claimed(one.Pod.UID):
			one.unread = nil
		case !recorded && one.unread != nil && (one.populated || isDue(&one.triedAt, now, tryEvery)):
			annotations = one.unread
		}
	})
	return annotations
}
