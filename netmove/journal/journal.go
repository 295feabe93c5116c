package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/renameio/v2"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const (
	recordsFolder  = "sandboxes"
	setAsideFolder = "set-aside"
	suffix         = ".json"
)

// Journal is the open journal of a state folder. Its records are values: none
// is changed once it is in the journal. Reading takes no lock.
type Journal struct {
	folder string
	bootID string

	mu      sync.Mutex // held by writers
	records atomic.Pointer[map[string]*Record]
}

// Open reads the journal below the state folder, and makes what is missing of
// it. Files that are no record of this boot are moved to the folder set-aside
// beside the records, and told in problems; they are not an error.
func Open(state, bootID string) (j *Journal, problems []error, err error) {
	j = &Journal{folder: filepath.Join(state, recordsFolder), bootID: bootID}
	j.records.Store(&map[string]*Record{})
	if err := os.MkdirAll(j.folder, 0o700); err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	entries, err := os.ReadDir(j.folder)
	if err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	records := map[string]*Record{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // of a write that a crash cut short
			problems = append(problems, os.Remove(filepath.Join(j.folder, e.Name())))
			continue
		}
		r, err := j.read(e.Name())
		if err != nil {
			problems = append(problems, errors.Join(err, j.setAside(state, e.Name())))
			continue
		}
		records[r.Sandbox] = r
	}
	j.records.Store(&records)
	problems = slices.DeleteFunc(problems, func(err error) bool { return err == nil })
	return j, problems, nil
}

func (j *Journal) read(name string) (*Record, error) {
	data, err := os.ReadFile(filepath.Join(j.folder, name))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("journal: %s is not a record: %w", name, err)
	}
	switch {
	case r.Version != version:
		return nil, fmt.Errorf("journal: %s has version %d, this program knows version %d", name, r.Version, version)
	case r.BootID != j.bootID:
		return nil, fmt.Errorf("journal: %s is of an earlier boot", name)
	case r.Sandbox+suffix != name:
		return nil, fmt.Errorf("journal: %s is the record of sandbox %q", name, r.Sandbox)
	}
	return r, nil
}

func (j *Journal) setAside(state, name string) error {
	aside := filepath.Join(state, setAsideFolder)
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	return os.Rename(filepath.Join(j.folder, name), filepath.Join(aside, name))
}

// Get returns a sandbox's record.
func (j *Journal) Get(sandbox string) (*Record, bool) {
	r, ok := (*j.records.Load())[sandbox]
	return r, ok
}

// All returns every record, ordered by sandbox id.
func (j *Journal) All() []*Record {
	records := *j.records.Load()
	all := make([]*Record, 0, len(records))
	for _, id := range slices.Sorted(maps.Keys(records)) {
		all = append(all, records[id])
	}
	return all
}

// Find finds the device that is called name on the host, or has it as an
// altname, among those that pods have: what it was, and whose it is.
func (j *Journal) Find(name string) (netmove.Snapshot, Pod, bool) {
	for _, r := range j.All() {
		for _, a := range r.Devices {
			if a.Before.Name == name || slices.Contains(a.Before.Altnames, name) {
				return a.Before, r.Pod, true
			}
		}
	}
	return netmove.Snapshot{}, Pod{}, false
}

// Begin writes a new record and thereby claims its devices. The error is an
// *InUseError when another sandbox has one of them.
func (j *Journal) Begin(r *Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, ok := j.Get(r.Sandbox); ok {
		return fmt.Errorf("sandbox %s has devices already", r.Sandbox)
	}
	for _, other := range j.All() {
		for _, a := range r.Devices {
			if other.holds(a.Before.Identity) {
				return &InUseError{Device: a.Request.Device, Holder: other.Pod}
			}
		}
	}
	if err := j.put(r); err != nil {
		return errors.Join(err, j.remove(r.Sandbox))
	}
	return nil
}

// Put writes a record again, with what has changed in it.
func (j *Journal) Put(r *Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.put(r)
}

func (j *Journal) put(r *Record) error {
	c := *r
	c.Version, c.BootID = version, j.bootID
	c.Devices, c.Lost = slices.Clone(r.Devices), slices.Clone(r.Lost)
	path, err := j.path(c.Sandbox)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(&c, "", "  ")
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.sync(); err != nil {
		return err
	}
	j.swap(func(records map[string]*Record) { records[c.Sandbox] = &c })
	return nil
}

// Remove removes a sandbox's record, which need not exist.
func (j *Journal) Remove(sandbox string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.remove(sandbox)
}

func (j *Journal) remove(sandbox string) error {
	path, err := j.path(sandbox)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	j.swap(func(records map[string]*Record) { delete(records, sandbox) })
	return j.sync()
}

// swap puts a changed copy in the place of the map that readers use.
func (j *Journal) swap(change func(map[string]*Record)) {
	records := maps.Clone(*j.records.Load())
	change(records)
	j.records.Store(&records)
}

func (j *Journal) path(sandbox string) (string, error) {
	if sandbox == "" || strings.HasPrefix(sandbox, ".") || strings.ContainsAny(sandbox, "/\x00") {
		return "", fmt.Errorf("journal: %q is no sandbox id", sandbox)
	}
	return filepath.Join(j.folder, sandbox+suffix), nil
}

// sync makes renames and removals in the folder durable.
func (j *Journal) sync() error {
	d, err := os.Open(j.folder)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}
