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
var ErrVersion = errors.New("a newer program has written it")

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
	problems = slices.Concat(j.clean(j.folder, c.leftovers), j.clean(j.claims, c.claims.leftovers), j.prune())
	var last map[string]string
	published := map[string]*Record{}
	for _, r := range c.records {
		last = share(r, last)
		published[r.Sandbox] = r
	}
	j.stored = maps.Clone(published)
	j.published.Store(&published)
	j.reserved.Store(reservationsOf(c.claims.reservations))
	return slices.DeleteFunc(problems, func(err error) bool { return err == nil }), nil
}

// clean removes what a crash has left in a folder, and sets aside what is not of the journal.
func (j *Journal) clean(folder string, l leftovers) (problems []error) {
	for _, name := range l.temporary {
		problems = append(problems, j.files.remove(filepath.Join(folder, name)))
	}
	for _, name := range slices.Sorted(maps.Keys(l.foreign)) {
		why := l.foreign[name]
		problems = append(problems, errors.Join(why, j.setAside(filepath.Join(folder, name), why.boot)))
		j.setAsides++
	}
	return problems
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

// content is what the folders of the journal have.
type content struct {
	leftovers
	records []*Record
	claims  claimsContent
}

// leftovers are files that are no records, or no reservations.
type leftovers struct {
	foreign   map[string]*notRecord
	temporary []string // of writes that a crash cut short
}

// claimsContent is what the folder of the reservations has.
type claimsContent struct {
	leftovers
	reservations map[string]*Reservation // by the claim's UID
}

// readPatiently reads everything, and tries again while something cannot be read.
func (j *Journal) readPatiently() (content, error) {
	c, err := j.readBoth()
	for _, pause := range j.pauses {
		if err == nil || errors.Is(err, ErrVersion) {
			break
		}
		j.sleep(pause)
		c, err = j.readBoth()
	}
	return c, err
}

// readBoth reads records and reservations once.
func (j *Journal) readBoth() (content, error) {
	c, err := j.readAll()
	var cerr error
	c.claims, cerr = j.readReservations()
	return c, errors.Join(err, cerr)
}

// readAll reads every record once. The error tells of what could not be read.
func (j *Journal) readAll() (c content, err error) {
	c.leftovers, err = j.readFolder(j.folder, func(name string, data []byte) error {
		r, err := j.decode(name, data)
		if err == nil {
			c.records = append(c.records, r)
		}
		return err
	})
	return c, err
}

// readReservations reads every reservation once. Before the first one there is no folder.
func (j *Journal) readReservations() (c claimsContent, err error) {
	c.reservations = map[string]*Reservation{}
	c.leftovers, err = j.readFolder(j.claims, func(name string, data []byte) error {
		r, err := j.decodeReservation(name, data)
		if err == nil {
			c.reservations[r.Claim.UID] = r
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	return c, err
}

// readFolder reads every file of a folder and hands it to decode.
func (j *Journal) readFolder(folder string, decode func(name string, data []byte) error) (leftovers, error) {
	l := leftovers{foreign: map[string]*notRecord{}}
	entries, err := j.files.readDir(folder)
	if err != nil {
		return l, fmt.Errorf("journal: %w: %w", err, ErrUnreadable)
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			l.temporary = append(l.temporary, e.Name())
			continue
		}
		data, err := j.read(folder, e)
		if err == nil {
			err = decode(e.Name(), data)
		}
		var foreign *notRecord
		switch {
		case errors.As(err, &foreign):
			l.foreign[e.Name()] = foreign
		case !errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
			errs = append(errs, err)
		}
	}
	return l, errors.Join(errs...)
}

// read reads one file. Something that is no regular file, such as a folder or a symbolic
// link, is no record: the journal makes none.
func (j *Journal) read(folder string, e os.DirEntry) ([]byte, error) {
	if !e.Type().IsRegular() {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is no file but %s", e.Name(), e.Type())}
	}
	data, err := j.files.readFile(filepath.Join(folder, e.Name()))
	if err != nil {
		return nil, fmt.Errorf("journal: %w: %w", err, ErrUnreadable)
	}
	return data, nil
}

func (j *Journal) decode(name string, data []byte) (*Record, error) {
	r := &Record{}
	if err := j.decodeInto(r, "record", name, data, oldest, version); err != nil {
		return nil, err
	}
	if r.Sandbox+suffix != name {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is the record of sandbox %q", name, r.Sandbox)}
	}
	return r, nil
}

func (j *Journal) decodeReservation(name string, data []byte) (*Reservation, error) {
	r := &Reservation{}
	if err := j.decodeInto(r, "reservation", name, data, 1, reservationVersion); err != nil {
		return nil, err
	}
	if r.Claim.UID+suffix != name {
		return nil, &notRecord{error: fmt.Errorf("journal: %s is the reservation of claim %q", name, r.Claim.UID)}
	}
	return r, nil
}

// decodeInto reads a file of this boot whose version is between two.
func (j *Journal) decodeInto(into any, what, name string, data []byte, low, high int) error {
	var format struct {
		Version int
		BootID  string
	}
	if err := json.Unmarshal(data, &format); err != nil {
		return &notRecord{error: fmt.Errorf("journal: %s is not a %s: %w", name, what, err)}
	}
	switch {
	case format.BootID != j.bootID && isName(format.BootID):
		return &notRecord{fmt.Errorf("journal: %s is of an earlier boot", name), format.BootID}
	case format.BootID != j.bootID:
		return &notRecord{error: fmt.Errorf("journal: %s is of no boot: %q", name, format.BootID)}
	case format.Version > high:
		return fmt.Errorf("journal: %s has version %d, and this program knows versions up to %d: %w", name, format.Version, high, ErrVersion)
	case format.Version < low:
		return &notRecord{error: fmt.Errorf("journal: %s has version %d, and there is none below %d", name, format.Version, low)}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &notRecord{error: fmt.Errorf("journal: %s is not a %s: %w", name, what, err)}
	}
	return nil
}
