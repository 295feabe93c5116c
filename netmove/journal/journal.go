package journal

import (
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const (
	recordsFolder  = "sandboxes"
	setAsideFolder = "set-aside"
	suffix         = ".json"
)

// Journal is the open journal of a state folder. What Get and All return are the
// published records. Reading them takes no lock.
type Journal struct {
	folder string
	claims string // folder of the reservations
	aside  string // where files go that are no records
	bootID string
	files  files
	pauses []time.Duration // between the tries of Open to read
	sleep  func(time.Duration)

	setAsides   int // files that were set aside when it was opened
	homecomings atomic.Uint64

	writing sync.Mutex // held over every access to the disk, and what follows from it
	stored  map[string]*Record
	doubted map[string][]netmove.Identity

	mu        sync.Mutex // held over every change of what is published
	published atomic.Pointer[map[string]*Record]
	committed map[string]*Record // not yet published
	reserved  atomic.Pointer[reservations]
	changed   chan struct{} // closed at the next change of what is published
}

func newJournal(state, bootID string) *Journal {
	j := Of(nil)
	j.folder, j.claims = filepath.Join(state, recordsFolder), filepath.Join(state, claimsFolder)
	j.aside, j.bootID = filepath.Join(state, setAsideFolder), bootID
	j.files, j.sleep = osFiles(), time.Sleep
	j.pauses = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}
	return j
}

// Of returns a journal of these records for callers that only look things up. It has no
// folder to write to.
func Of(records []*Record) *Journal {
	j := &Journal{stored: map[string]*Record{}, doubted: map[string][]netmove.Identity{}, committed: map[string]*Record{}, changed: make(chan struct{})}
	byID := make(map[string]*Record, len(records))
	for _, r := range records {
		byID[r.Sandbox] = r
	}
	j.published.Store(&byID)
	j.reserved.Store(reservationsOf(nil))
	return j
}

// Get returns a sandbox's record.
func (j *Journal) Get(sandbox string) (*Record, bool) {
	r, ok := (*j.published.Load())[sandbox]
	return r, ok
}

// All returns every record, ordered by sandbox id.
func (j *Journal) All() []*Record {
	records := *j.published.Load()
	all := make([]*Record, 0, len(records))
	for _, id := range slices.Sorted(maps.Keys(records)) {
		all = append(all, records[id])
	}
	return all
}

// Find finds the device with that name or altname on the host among those that are away
// or not yet as they were. It returns what the device was, and the record that has it.
func (j *Journal) Find(name string) (netmove.Snapshot, *Record, bool) {
	return j.FindFunc(func(dev netmove.Snapshot) bool {
		return dev.Name == name || slices.Contains(dev.Altnames, name)
	})
}

// FindFunc is Find for a device that is told by what it was on the host.
func (j *Journal) FindFunc(meant func(netmove.Snapshot) bool) (netmove.Snapshot, *Record, bool) {
	for _, r := range j.All() {
		for _, list := range [...][]netmove.Attachment{r.Devices, r.Quarantined} {
			for i := range list {
				if before := list[i].Before; meant(before) {
					return before, r, true
				}
			}
		}
	}
	return netmove.Snapshot{}, nil, false
}

// Holds reports whether any record has the device.
func (j *Journal) Holds(id netmove.Identity) bool {
	for _, r := range *j.published.Load() {
		if r.holds(id) {
			return true
		}
	}
	return false
}

// Homecomings counts the records that were changed or removed. What was read
// of a device is good as long as the count is what it was before.
func (j *Journal) Homecomings() uint64 { return j.homecomings.Load() }

// publish puts r in the place of the sandbox's record; nil removes it.
// The caller holds mu.
//
// Invariant: a published record is never changed in place.
func (j *Journal) publish(sandbox string, r *Record) {
	delete(j.committed, sandbox)
	records := maps.Clone(*j.published.Load())
	if r == nil {
		delete(records, sandbox)
	} else {
		records[sandbox] = r
	}
	j.published.Store(&records)
	j.tell()
}

// Changed returns a channel that is closed at the next change of what is published.
func (j *Journal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// tell ends the wait for a change. The caller holds mu.
func (j *Journal) tell() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// own returns the journal's own copy of a record.
func (j *Journal) own(r *Record) *Record {
	c := *r
	c.Version, c.BootID = version, j.bootID
	c.Devices, c.Quarantined, c.Lost = slices.Clone(r.Devices), slices.Clone(r.Quarantined), slices.Clone(r.Lost)
	c.Problems, c.Claims = maps.Clone(r.Problems), slices.Clone(r.Claims)
	return &c
}

// conflict returns an *InUseError if the record of another sandbox, published or committed,
// or the reservation for another pod, has a device that r has and the sandbox's published
// record has not. What two records on
// disk had at the start they may go on having: neither keeps the other from being written.
//
// Invariant: a device is in at most one record.
func (j *Journal) conflict(r *Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, _ := j.Get(r.Sandbox)
	for _, list := range [...][]netmove.Attachment{r.Devices, r.Quarantined, r.Lost} {
		for i := range list {
			id := list[i].Before.Identity
			if now != nil && now.holds(id) {
				continue
			}
			if other := j.holder(id, r.Sandbox); other != nil {
				return other.InUse(list[i].Request.Device, id)
			}
			if other := j.ReservedFor(id); other != nil && other.Pod.UID != r.Pod.UID {
				return other.InUse(list[i].Request.Device)
			}
		}
	}
	return nil
}

// holder returns the record of a sandbox other than this one that has the device, or nil.
func (j *Journal) holder(id netmove.Identity, but string) *Record {
	for _, records := range [...]map[string]*Record{*j.published.Load(), j.committed} {
		for _, r := range records {
			if r.Sandbox != but && r.holds(id) {
				return r
			}
		}
	}
	return nil
}
