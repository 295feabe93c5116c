package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
)

// ErrReserved means that the claim has a reservation already.
var ErrReserved = errors.New("claim has a reservation already")

// Reserve writes a new reservation and thereby takes its devices. since is what Homecomings
// was before the devices were looked at. The error is an *InUseError when a sandbox or
// another claim has one of them, ErrReserved for a claim with a reservation, and ErrStale
// when one may have been on its way home while it was looked at. A reservation that could
// not be written takes nothing.
func (j *Journal) Reserve(r *Reservation, since uint64) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if _, ok := j.Reservation(r.Claim.UID); ok {
		return ErrReserved
	}
	for _, d := range r.Devices {
		if other := j.holder(d.Identity, ""); other != nil {
			return other.InUse(d.HostName, d.Identity)
		}
		if other := j.ReservedFor(d.Identity); other != nil {
			return other.InUse(d.HostName)
		}
	}
	if j.homecomings.Load() != since {
		return ErrStale
	}
	c := *r
	c.Version, c.BootID, c.Devices = reservationVersion, j.bootID, slices.Clone(r.Devices)
	if err := j.writeReservation(&c); err != nil {
		return errors.Join(err, j.eraseReservation(c.Claim.UID))
	}
	j.publishReservation(c.Claim.UID, &c)
	return nil
}

// Unreserve ends the reservation of a claim, which need not exist. The error is an
// *AwayError as long as a device of it is neither home, nor lost, nor quarantined. When it
// fails, the reservation stays.
func (j *Journal) Unreserve(claim string) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	r, ok := j.Reservation(claim)
	if ok {
		if err := j.away(r); err != nil {
			return err
		}
	}
	if err := j.eraseReservation(claim); err != nil {
		return err
	}
	if ok {
		j.publishReservation(claim, nil)
	}
	return nil
}

// away returns an *AwayError if a sandbox has a device of the reservation.
func (j *Journal) away(r *Reservation) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, records := range [...]map[string]*Record{*j.published.Load(), j.committed} {
		for _, sandbox := range records {
			for _, a := range sandbox.Devices {
				problem := sandbox.Problems[a.Before.Name]
				if r.Has(a.Before.Identity) && !problem.Misnamed {
					return &AwayError{Device: a.Before.Name, Holder: sandbox.Holder(), Problem: problem.Text}
				}
			}
		}
	}
	return nil
}

// backed returns an error if a claim that the record is for has no reservation for its pod.
func (j *Journal) backed(r *Record) error {
	for _, claim := range r.Claims {
		if res, ok := j.Reservation(claim); !ok || res.Pod.UID != r.Pod.UID {
			return fmt.Errorf("claim %s is not prepared any more", claim)
		}
	}
	return nil
}

func (j *Journal) publishReservation(claim string, r *Reservation) {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := maps.Clone(j.reserved.Load().byClaim)
	if r == nil {
		delete(all, claim)
	} else {
		all[claim] = r
	}
	j.reserved.Store(reservationsOf(all))
	j.tell()
}

func (j *Journal) claimPath(claim string) (string, error) {
	if !isName(claim) {
		return "", fmt.Errorf("journal: %q is no UID of a claim", claim)
	}
	return filepath.Join(j.claims, claim+suffix), nil
}

// writeReservation replaces the file of a reservation.
func (j *Journal) writeReservation(r *Reservation) error {
	path, err := j.claimPath(r.Claim.UID)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = j.files.makeDir(j.claims)
	}
	if err == nil {
		err = j.replaceIn(j.claims, path, append(data, '\n'))
	}
	if err == nil {
		err = j.files.sync(j.claims)
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// eraseReservation removes the file of a reservation, which need not exist, nor its folder.
func (j *Journal) eraseReservation(claim string) error {
	path, err := j.claimPath(claim)
	if err != nil {
		return err
	}
	if err := j.files.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.files.sync(j.claims); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// saveReservations writes those whose files somebody has removed.
func (j *Journal) saveReservations() (errs []error) {
	all := j.Reservations()
	if len(all) == 0 {
		return nil
	}
	entries, err := j.files.readDir(j.claims)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return []error{fmt.Errorf("journal: %w", err)}
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, r := range all {
		if !there[r.Claim.UID+suffix] {
			errs = append(errs, j.writeReservation(r))
		}
	}
	return errs
}
