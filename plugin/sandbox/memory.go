package sandbox

import (
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// memory is what this process knows of one sandbox beside its record. All of it ends
// together, when the sandbox has ended and its record is gone.
type memory struct {
	Sandbox           // as the runtime described it; zero where only a record tells
	since   time.Time // when the runtime first described it
	inode   uint64    // of its network namespace; 0 is not looked at yet
	listed  bool      // the runtime has listed it
	late    bool      // the gate attaches, after a list that may lack containers
	ended   bool      // proven: by a hook, or by the sweep

	// populated is set once a container was seen: devices would come too late for it.
	populated bool

	// unread are the annotations of a sandbox from the runtime's list, until the sweep
	// has read them.
	unread map[string]string

	// missed says why the sandbox runs without its devices; "" if it does not.
	missed string

	absent bool // from the runtime's last list
	proofs int  // of its end, in a row

	lookedAt netmove.BootOffset // when its devices were looked for; 0 is due
	triedAt  netmove.BootOffset // when the sweep tried to complete its return; 0 is due
	missing  bool               // a device was not found, once
	endedAt  netmove.BootOffset // when only a record of lost devices was left

	tries map[string]int    // in a row, by device
	told  map[string]string // problem that was logged last, by device or ""
}

// memories are the memories by sandbox. The zero value is empty.
type memories struct{ keyed[memory] }

// describe notes how the runtime describes a sandbox, and calls also.
func (m *memories) describe(s Sandbox, also func(*memory)) {
	m.change(s.ID, func(one *memory) {
		if one.since.IsZero() {
			one.since = time.Now()
		}
		one.Sandbox = s
		also(one)
	})
}

// populated reports whether the sandbox has had a container.
func (m *memories) populated(sandbox string) (yes bool) {
	m.look(sandbox, func(one *memory) { yes = one.populated })
	return yes
}

// absent reports whether the runtime's last list lacks the sandbox.
func (m *memories) absent(sandbox string) (yes bool) {
	m.look(sandbox, func(one *memory) { yes = one.absent })
	return yes
}

// try counts one more try for a device, and returns how many there were in a row.
func (m *memories) try(sandbox, device string) (tries int) {
	m.change(sandbox, func(one *memory) {
		if one.tries == nil {
			one.tries = map[string]int{}
		}
		one.tries[device]++
		tries = one.tries[device]
	})
	return tries
}

// news notes the problem of a device, or of the whole sandbox (""), and reports whether
// the last one was different.
func (m *memories) news(sandbox, device, text string) (is bool) {
	m.change(sandbox, func(one *memory) {
		if one.told == nil {
			one.told = map[string]string{}
		}
		is = one.told[device] != text
		one.told[device] = text
	})
	return is
}

// done forgets what was counted and logged about a device.
func (m *memories) done(sandbox, device string) {
	m.look(sandbox, func(one *memory) {
		delete(one.tries, device)
		delete(one.told, device)
	})
}

// forget drops the memory of a sandbox that has ended. While there is a record, it only
// notes the end.
func (t *Table) forget(sandbox string) {
	_, recorded := t.journal.Get(sandbox)
	t.memories.dropIf(sandbox, func(one *memory) bool {
		one.ended, one.populated, one.missed, one.unread, one.proofs, one.missing = true, false, "", nil, 0, false
		return !recorded
	})
}

// forgetEnded drops the memories of sandboxes that have ended without a hook and have
// no record.
//
// Invariant: a fact about a sandbox ends with the sandbox.
func (t *Table) forgetEnded() {
	for _, sandbox := range t.memories.keys() {
		if _, recorded := t.journal.Get(sandbox); recorded {
			continue
		}
		t.memories.dropIf(sandbox, func(one *memory) bool { return one.ended || one.ID == "" })
		if p, ok := t.placeOfMemory(sandbox); ok && t.endedWithoutRecord(p) {
			t.forget(sandbox)
		}
	}
}

// placeOfMemory returns where a sandbox without a record is.
func (t *Table) placeOfMemory(sandbox string) (p place, ok bool) {
	ok = t.memories.look(sandbox, func(one *memory) {
		p = place{sandbox: sandbox, path: one.NetnsPath, inode: one.inode, pause: one.Pause}
	})
	if !ok || p.inode != 0 {
		return p, ok
	}
	p.inode, _ = t.kernel.InodeAt(p.path) // 0 where it cannot be seen
	t.memories.look(sandbox, func(one *memory) { one.inode = p.inode })
	return p, true
}

// placeOf returns where a sandbox with a record is.
func placeOf(r *journal.Record) place {
	return place{sandbox: r.Sandbox, path: r.Netns.Path, inode: r.Netns.Inode, pause: r.Netns.Pause}
}
