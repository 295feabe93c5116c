package journal

import (
	"errors"
	"fmt"
	"reflect"
)

// ErrStale means that a device has come home since the caller looked at it.
var ErrStale = errors.New("a device has come home meanwhile")

// Begin writes a new record and thereby takes its devices. since is what
// Homecomings was before the devices were looked at. The error is an
// *InUseError when another sandbox has one of them, and ErrStale when one may
// have been on its way home while it was looked at. A record that could not be
// written takes nothing.
//
// Invariant: a record is on disk before its devices move.
func (j *Journal) Begin(r *Record, since uint64) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if _, err := j.path(r.Sandbox); err != nil {
		return err
	}
	if _, ok := j.Get(r.Sandbox); ok {
		return fmt.Errorf("sandbox %s has devices already", r.Sandbox)
	}
	inUse := j.conflict(r)
	// Counted before it is published, a homecoming is never seen without its count.
	if j.homecomings.Load() != since {
		return ErrStale
	}
	if inUse != nil {
		return inUse
	}
	if err := j.backed(r); err != nil {
		return err
	}
	if err := j.settle(r); err != nil {
		return err
	}
	c := j.own(r)
	if err := j.write(c); err != nil {
		return errors.Join(err, j.erase(r.Sandbox))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.publish(c.Sandbox, c)
	return nil
}

// Put writes a record again, with what has changed in it, and publishes it. It is
// published also when it cannot be written; Save writes it then. A record that is
// published and on disk already is not written, and only a change counts as a homecoming.
// Only when it has a device of another sandbox nothing happens: *InUseError.
func (j *Journal) Put(r *Record) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.conflict(r); err != nil {
		return err
	}
	c := j.own(r)
	j.mu.Lock()
	delete(j.committed, c.Sandbox)
	now, _ := j.Get(c.Sandbox)
	j.mu.Unlock()
	changed := !reflect.DeepEqual(now, c)
	if !changed {
		c = now
		if j.stored[c.Sandbox] == c {
			return nil
		}
	}
	err := j.write(c)
	if changed {
		j.announce(c.Sandbox, c)
	}
	return err
}

// Commit writes a record again, and leaves what Get and All return as it was until
// publish is called: what is on disk holds for the next process, what is published for
// this one. A later Put, Commit or Remove of the same sandbox makes publish do nothing.
// publish waits for no disk. When the record cannot be written, publish is nil, and the
// published record stays the one that Save writes.
func (j *Journal) Commit(r *Record) (publish func(), err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if _, ok := j.Get(r.Sandbox); !ok {
		return nil, fmt.Errorf("journal: sandbox %s has no record", r.Sandbox)
	}
	if err := j.conflict(r); err != nil {
		return nil, err
	}
	c := j.own(r)
	j.mu.Lock()
	delete(j.committed, c.Sandbox)
	j.mu.Unlock()
	if err := j.write(c); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.committed[c.Sandbox] = c
	return func() { j.publishCommitted(c) }, nil
}

func (j *Journal) publishCommitted(c *Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.committed[c.Sandbox] != c {
		return
	}
	j.homecomings.Add(1)
	j.publish(c.Sandbox, c)
}

// Remove removes a sandbox's record, which need not exist. When it fails, the record
// stays published.
func (j *Journal) Remove(sandbox string) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.erase(sandbox); err != nil {
		return err
	}
	if _, ok := j.Get(sandbox); ok {
		j.announce(sandbox, nil)
	}
	return nil
}

// announce publishes a change that counts as a homecoming.
func (j *Journal) announce(sandbox string, r *Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.homecomings.Add(1)
	j.publish(sandbox, r)
}
