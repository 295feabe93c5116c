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
	aside  string // where files go that are no records
	bootID string

	setAsides   int // files that were set aside when it was opened
	homecomings atomic.Uint64

	mu      sync.Mutex // held by writers
	records atomic.Pointer[map[string]*Record]
}

// ErrVersion means that a newer program has written a record.
var ErrVersion = fmt.Errorf("a newer program has written it; this one knows versions up to %d", version)

// Open reads the journal below the state folder, and makes what is missing of
// it. Files that are no record of this boot are moved to the folder set-aside
// beside the records, and told in problems; they are not an error. Those of a newer
// program are: ErrVersion.
func Open(state, bootID string) (j *Journal, problems []error, err error) {
	j = &Journal{folder: filepath.Join(state, recordsFolder), aside: filepath.Join(state, setAsideFolder), bootID: bootID}
	j.records.Store(&map[string]*Record{})
	if err := os.MkdirAll(j.folder, 0o700); err != nil {
		return nil, nil, fmt.Errorf("journal: %w", err)
	}
	entries, err := j.entries()
	if err != nil {
		return nil, nil, err
	}
	records := map[string]*Record{}
	var last map[string]string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") { // of a write that a crash cut short
			problems = append(problems, os.Remove(filepath.Join(j.folder, e.Name())))
			continue
		}
		r, err := j.read(e.Name())
		if errors.Is(err, ErrVersion) {
			return nil, nil, err // to set it aside would be to lose its devices
		}
		if err != nil {
			problems = append(problems, errors.Join(err, j.setAside(e.Name())))
			j.setAsides++
			continue
		}
		last = share(r, last)
		records[r.Sandbox] = r
	}
	j.records.Store(&records)
	problems = slices.DeleteFunc(problems, func(err error) bool { return err == nil })
	return j, problems, nil
}

// share lets devices with the same sysctls have one map of them, beginning with last, and
// returns the last one: most devices of a node have the same.
func share(r *Record, last map[string]string) map[string]string {
	for _, list := range [][]netmove.Attachment{r.Devices, r.Quarantined, r.Lost} {
		for i := range list {
			if maps.Equal(list[i].Before.Sysctls, last) {
				list[i].Before.Sysctls = last
			}
			last = list[i].Before.Sysctls
		}
	}
	return last
}

// Read reads the records below the state folder, and changes nothing. It is for
// those who look while another process writes. The error tells of files that are
// no records; the others are returned nevertheless.
func Read(state, bootID string) ([]*Record, error) {
	j := &Journal{folder: filepath.Join(state, recordsFolder), bootID: bootID}
	entries, err := j.entries()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var records []*Record
	errs := []error{err}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		r, err := j.read(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		records = append(records, r)
	}
	return records, errors.Join(errs...)
}

// Of is a journal of these records for those who look things up in it. It has no folder
// to write to.
func Of(records []*Record) *Journal {
	j, byID := &Journal{}, make(map[string]*Record, len(records))
	for _, r := range records {
		byID[r.Sandbox] = r
	}
	j.records.Store(&byID)
	return j
}

func (j *Journal) entries() ([]os.DirEntry, error) {
	entries, err := os.ReadDir(j.folder)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return entries, nil
}

func (j *Journal) read(name string) (*Record, error) {
	data, err := os.ReadFile(filepath.Join(j.folder, name))
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	r := &Record{}
	var format struct {
		Version int
		BootID  string
	}
	if err := json.Unmarshal(data, &format); err == nil && format.Version > version && format.BootID == j.bootID {
		return nil, fmt.Errorf("journal: %s has version %d: %w", name, format.Version, ErrVersion)
	}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("journal: %s is not a record: %w", name, err)
	}
	switch {
	case r.Version != version:
		return nil, fmt.Errorf("journal: %s has version %d, and there is none but %d", name, r.Version, version)
	case r.BootID != j.bootID:
		return nil, fmt.Errorf("journal: %s is of an earlier boot", name)
	case r.Sandbox+suffix != name:
		return nil, fmt.Errorf("journal: %s is the record of sandbox %q", name, r.Sandbox)
	}
	return r, nil
}

func (j *Journal) setAside(name string) error {
	if err := os.MkdirAll(j.aside, 0o700); err != nil {
		return err
	}
	return os.Rename(filepath.Join(j.folder, name), filepath.Join(j.aside, name))
}

// WasSetAside reports whether a file for that sandbox was set aside: what it
// said of the sandbox is not known, and may still be so.
func (j *Journal) WasSetAside(sandbox string) bool {
	_, err := os.Lstat(filepath.Join(j.aside, sandbox+suffix))
	return err == nil
}

// SetAside is how many files were set aside when the journal was opened.
func (j *Journal) SetAside() int { return j.setAsides }

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
// altname, among those that are away or not yet as they were: what it was, and
// whose it is.
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
	for _, r := range *j.records.Load() {
		if r.holds(id) {
			return true
		}
	}
	return false
}

// ErrStale means that a device has come home since the caller looked at it.
var ErrStale = errors.New("a device has come home meanwhile")

// Homecomings counts the records that were changed or removed. What was read
// of a device is good as long as the count is what it was before.
func (j *Journal) Homecomings() uint64 { return j.homecomings.Load() }

// Begin writes a new record and thereby claims its devices. since is what
// Homecomings was before the devices were looked at. The error is an
// *InUseError when another sandbox has one of them, and ErrStale when one may
// have been on its way home while it was looked at.
func (j *Journal) Begin(r *Record, since uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.homecomings.Load() != since {
		return ErrStale
	}
	if _, ok := j.Get(r.Sandbox); ok {
		return fmt.Errorf("sandbox %s has devices already", r.Sandbox)
	}
	for _, other := range *j.records.Load() {
		for _, a := range r.Devices {
			if other.holds(a.Before.Identity) {
				return other.InUse(a.Request.Device, a.Before.Identity)
			}
		}
	}
	c := j.own(r)
	if err := j.write(c); err != nil {
		return errors.Join(err, j.remove(r.Sandbox))
	}
	j.swap(func(records map[string]*Record) { records[c.Sandbox] = c })
	return nil
}

// Put writes a record again, with what has changed in it. The change counts
// for this process also when it cannot be written.
func (j *Journal) Put(r *Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.own(r)
	err := j.write(c)
	j.swap(func(records map[string]*Record) { records[c.Sandbox] = c })
	j.homecomings.Add(1)
	return err
}

// Commit writes a record like Put, but readers see it only once publish is called.
func (j *Journal) Commit(r *Record) (publish func(), err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.own(r)
	if err := j.write(c); err != nil {
		return nil, err
	}
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.swap(func(records map[string]*Record) { records[c.Sandbox] = c })
		j.homecomings.Add(1)
	}, nil
}

// Restore writes every record again if somebody has removed the folder of the
// records. It reports whether that was so.
func (j *Journal) Restore() (anew bool, err error) {
	if _, err := os.Lstat(j.folder); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // what else may be wrong, the next write tells
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := os.MkdirAll(j.folder, 0o700); err != nil {
		return true, fmt.Errorf("journal: %w", err)
	}
	var errs []error
	for _, r := range j.All() {
		errs = append(errs, j.write(r))
	}
	return true, errors.Join(errs...)
}

// own is the journal's own copy of a record.
func (j *Journal) own(r *Record) *Record {
	c := *r
	c.Version, c.BootID = version, j.bootID
	c.Devices, c.Quarantined, c.Lost = slices.Clone(r.Devices), slices.Clone(r.Quarantined), slices.Clone(r.Lost)
	c.Problems = maps.Clone(r.Problems)
	return &c
}

func (j *Journal) write(r *Record) error {
	path, err := j.path(r.Sandbox)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	// With the folder named, it is not tried whether another one will do.
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.WithTempDir(j.folder)); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return j.sync()
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
	j.homecomings.Add(1)
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
