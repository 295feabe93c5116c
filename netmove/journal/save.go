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
)

// Save makes the disk agree with the journal where it does not: it writes the records
// whose last write failed and those whose files somebody has removed, and removes what a
// Begin that failed may have left. It returns the sandboxes whose records it wrote.
func (j *Journal) Save() (saved []string, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.missing()
	wanted := j.wanted()
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		if j.stored[id] == wanted[id] {
			continue
		}
		err := j.mend(id, wanted[id])
		if err == nil {
			saved = append(saved, id)
		}
		errs = append(errs, err)
	}
	for _, id := range slices.Sorted(maps.Keys(j.doubted)) {
		if wanted[id] == nil {
			errs = append(errs, j.erase(id))
		}
	}
	errs = append(errs, j.saveReservations()...)
	return saved, errors.Join(errs...)
}

// missing notes which records have no file. What else may be wrong with the folder, the
// next write tells.
func (j *Journal) missing() {
	entries, err := j.files.readDir(j.folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	maps.DeleteFunc(j.stored, func(id string, _ *Record) bool { return !there[id+suffix] })
}

// wanted returns the records that the disk should have.
func (j *Journal) wanted() map[string]*Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	records := maps.Clone(*j.published.Load())
	maps.Copy(records, j.committed)
	return records
}

// settle makes sure that no file tells of a device of r for another sandbox. It may do so
// after a write or a removal that failed.
func (j *Journal) settle(r *Record) error {
	wanted := j.wanted()
	for id, devices := range j.doubted {
		if id == r.Sandbox || !slices.ContainsFunc(devices, r.holds) {
			continue
		}
		if err := j.mend(id, wanted[id]); err != nil {
			return fmt.Errorf("the record of sandbox %s on disk may still have a device of this one: %w", id, err)
		}
	}
	return nil
}

// mend brings a sandbox's file in line with its record; nil means that there is none.
func (j *Journal) mend(sandbox string, r *Record) error {
	if r == nil {
		return j.erase(sandbox)
	}
	if err := j.files.makeDir(j.folder); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return j.write(r)
}

// write replaces the file of a record. When it fails, the file may be the old or the new
// one.
func (j *Journal) write(r *Record) error {
	path, err := j.path(r.Sandbox)
	if err != nil {
		return err
	}
	j.doubt(r.Sandbox, r)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.replaceIn(j.folder, path, append(data, '\n')); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.files.sync(j.folder); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.stored[r.Sandbox] = r
	delete(j.doubted, r.Sandbox)
	return nil
}

// doubt notes that a sandbox's file is about to become r, nil for none, and may tell of any
// device of which it told before until that is done.
func (j *Journal) doubt(sandbox string, r *Record) {
	devices := j.doubted[sandbox]
	for _, of := range []*Record{j.stored[sandbox], r} {
		if of == nil {
			continue
		}
		for _, a := range of.All() {
			if !slices.ContainsFunc(devices, a.Before.Identity.Same) {
				devices = append(devices, a.Before.Identity)
			}
		}
	}
	j.doubted[sandbox] = devices
	delete(j.stored, sandbox)
}

func (j *Journal) replaceIn(folder, path string, data []byte) (err error) {
	f, err := j.files.create(folder, path)
	if err != nil {
		return named(path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(named(path, err), named(path, f.Cleanup()))
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// named names the record's file in place of a temporary one, whose name is always new: an
// error reads the same as long as its reason lasts.
func named(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}

// erase removes a sandbox's file, which need not exist, nor its folder.
func (j *Journal) erase(sandbox string) error {
	path, err := j.path(sandbox)
	if err != nil {
		return err
	}
	if err := j.files.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	j.doubt(sandbox, nil)
	if err := j.files.sync(j.folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	delete(j.doubted, sandbox)
	return nil
}

func (j *Journal) path(sandbox string) (string, error) {
	if !isName(sandbox) {
		return "", fmt.Errorf("journal: %q is no sandbox id", sandbox)
	}
	return filepath.Join(j.folder, sandbox+suffix), nil
}

// isName reports whether text can be the name of a file that is not hidden.
func isName(text string) bool {
	return text != "" && !strings.HasPrefix(text, ".") && !strings.ContainsAny(text, "/\x00")
}
