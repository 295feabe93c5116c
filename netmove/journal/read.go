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

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ErrVersion means that a newer program has written a record.
var ErrVersion = fmt.Errorf("a newer program has written it; this one knows versions up to %d", version)

// ErrUnreadable means that a file or the folder of the journal could not be read. What it
// says is not known, so it may be a record with devices.
var ErrUnreadable = errors.New("it may tell of devices that are away, so nothing starts without it; mend what keeps it from being read, or move it away if you know that it tells of none")

// notRecord is an error about a file that was read and is no record of this boot.
type notRecord struct {
	error
	boot string // whose record it is, if it is one of an earlier boot
}

// Open reads the journal below the state folder, and makes what is missing of
// it. Files that are no records of this boot are moved to the folder set-aside
// beside the records, and told in problems; they are not an error. What cannot be
// read is tried again for a second; then the error is ErrUnreadable, and nothing was set
// aside. Records of a newer program are an error too: ErrVersion.
func Open(state, bootID string) (j *Journal, problems []error, err error) {
	j = newJournal(state, bootID)
	problems, err = j.open()
	if err != nil {
		return nil, nil, err
	}
	return j, problems, nil
}

func (j *Journal) open() (problems []error, err error) {
	if err := j.files.makeDir(j.folder); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	c, err := j.readPatiently()
	if err != nil {
		return nil, err
	}
	for _, name := range c.temporary {
		problems = append(problems, j.files.remove(filepath.Join(j.folder, name)))
	}
	for _, name := range slices.Sorted(maps.Keys(c.foreign)) {
		why := c.foreign[name]
		problems = append(problems, errors.Join(why, j.setAside(filepath.Join(j.folder, name), why.boot)))
		j.setAsides++
	}
	problems = append(problems, j.prune()...)
	var last map[string]string
	published := map[string]*Record{}
	for _, r := range c.records {
		last = share(r, last)
		published[r.Sandbox] = r
	}
	j.stored = maps.Clone(published)
	j.published.Store(&published)
	return slices.DeleteFunc(problems, func(err error) bool { return err == nil }), nil
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
// no records or could not be read; the others are returned nevertheless.
func Read(state, bootID string) ([]*Record, error) { return newJournal(state, bootID).look() }

func (j *Journal) look() ([]*Record, error) {
	c, err := j.readAll()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	errs := []error{err}
	for _, name := range slices.Sorted(maps.Keys(c.foreign)) {
		errs = append(errs, c.foreign[name])
	}
	return c.records, errors.Join(errs...)
}

// content is what the folder of the records has.
type content struct {
	records   []*Record
	foreign   map[string]*notRecord
	temporary []string // of writes that a crash cut short
}

// readPatiently reads everything, and tries again while something cannot be read.
func (j *Journal) readPatiently() (content, error) {
	c, err := j.readAll()
	for _, pause := range j.pauses {
		if err == nil || errors.Is(err, ErrVersion) {
			break
		}
		j.sleep(pause)
		c, err = j.readAll()
	}
	return c, err
}

// readAll reads everything once. The error tells of what could not be read.
func (j *Journal) readAll() (content, error) {
	c := content{foreign: map[string]*notRecord{}}
	entries, err := j.files.readDir(j.folder)
	if err != nil {
		return c, fmt.Errorf("journal: %w: %w", err, ErrUnreadable)
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			c.temporary = append(c.temporary, e.Name())
			continue
		}
		r, err := j.read(e)
		var foreign *notRecord
		switch {
		case err == nil:
			c.records = append(c.records, r)
		case errors.As(err, &foreign):
			c.foreign[e.Name()] = foreign
		case !errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
			errs = append(errs, err)
		}
	}
	return c, errors.Join(errs...)
}

// read reads one file. Something that is no regular file, such as a folder or a symbolic
// link, is no record: the journal makes none.
func (j *Journal) read(e os.DirEntry) (*Record, error) {
	if !e.Type().IsRegular() {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is no file but %s", e.Name(), e.Type())}
	}
	data, err := j.files.readFile(filepath.Join(j.folder, e.Name()))
	if err != nil {
		return nil, fmt.Errorf("journal: %w: %w", err, ErrUnreadable)
	}
	return j.decode(e.Name(), data)
}

func (j *Journal) decode(name string, data []byte) (*Record, error) {
	var format struct {
		Version int
		BootID  string
	}
	if err := json.Unmarshal(data, &format); err != nil {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is not a record: %w", name, err)}
	}
	switch {
	case format.BootID != j.bootID && isName(format.BootID):
		return nil, &notRecord{fmt.Errorf("journal: %s is of an earlier boot", name), format.BootID}
	case format.BootID != j.bootID:
		return nil, &notRecord{error: fmt.Errorf("journal: %s is of no boot: %q", name, format.BootID)}
	case format.Version > version:
		return nil, fmt.Errorf("journal: %s has version %d: %w", name, format.Version, ErrVersion)
	case format.Version < oldest:
		return nil, &notRecord{error: fmt.Errorf("journal: %s has version %d, and there is none below %d", name, format.Version, oldest)}
	}
	r := &Record{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is not a record: %w", name, err)}
	}
	if r.Sandbox+suffix != name {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is the record of sandbox %q", name, r.Sandbox)}
	}
	return r, nil
}
