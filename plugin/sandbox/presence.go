package sandbox

import (
	"errors"
	"maps"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

const (
	// lookEvery is how often the sweep looks for the devices of a running sandbox. For a
	// missing device it looks again after lookAgain.
	lookEvery = 3 * time.Second

	// looksInVain is how often in a row a device is missing before it counts as lost.
	looksInVain = 2

	goneFromPod = "device is gone from the pod, which runs: it was deleted, or its hardware was removed"
)

// tendLocked renews the pin of an attached sandbox and looks for its devices, under the
// sandbox's lock: the record may have changed since the sweep began. It returns the devices
// whose return has begun, and the devices that came home by themselves.
func (t *Table) tendLocked(sandbox string) (begun, home []netmove.Identity) {
	defer t.locks.lock(sandbox)()
	r, ok := t.journal.Get(sandbox)
	if !ok || r.State != journal.Attached {
		return nil, nil
	}
	switch err := t.pins.renew(r); {
	case err == nil:
		t.memories.done(sandbox, "")
	case t.memories.news(sandbox, "", err.Error()):
		recordLog(t.log, r).Error("cannot pin the pod's network namespace again", "err", err)
	}
	if err := t.tendGate(r); err != nil && t.memories.news(sandbox, "gate", err.Error()) {
		recordLog(t.log, r).Error("cannot tend the gate of the pod's claims", "err", err)
	}
	for _, a := range r.Devices {
		if _, ok := r.Problems[a.Before.Name]; ok {
			begun = append(begun, a.Before.Identity)
		}
	}
	if t.lookIsDue(sandbox) {
		home = t.look(r)
	}
	return begun, home
}

// lookIsDue reports whether the devices of a sandbox are to be looked for now.
func (t *Table) lookIsDue(sandbox string) (due bool) {
	now := t.mover.Now()
	t.memories.change(sandbox, func(one *memory) {
		one.missing = false
		due = isDue(&one.lookedAt, now, lookEvery)
	})
	return due
}

// isDue reports whether it is time again, and then sets last to now. A last of 0 is long ago.
func isDue(last *netmove.BootOffset, now netmove.BootOffset, every time.Duration) bool {
	due := *last == 0 || time.Duration(now-*last) >= every
	if due {
		*last = now
	}
	return due
}

// look looks for the devices of an attached sandbox. It publishes which devices are gone
// and which lost devices are back, and returns the devices that are home.
func (t *Table) look(r *journal.Record) (home []netmove.Identity) {
	netns, done, err := t.pins.namespace(r)
	if err != nil {
		if t.memories.news(r.Sandbox, "look", err.Error()) {
			recordLog(t.log, r).Error("cannot look for the pod's devices", "err", err)
		}
		return nil
	}
	s := &search{Table: t, netns: netns, sandbox: r.Sandbox}
	here, gone := split(r.Devices, func(a netmove.Attachment) bool { return !s.misses(a) })
	back, lost := split(r.Lost, s.finds)
	if err := done(); err != nil && t.memories.news(r.Sandbox, "look", err.Error()) {
		recordLog(t.log, r).Error("close the pod's network namespace", "err", err)
	}
	if len(gone) > 0 || len(back) > 0 {
		t.file(r, append(here, back...), append(lost, gone...), gone, back)
	}
	return s.home
}

// file publishes which devices of an attached sandbox are gone and which are back.
func (t *Table) file(r *journal.Record, here, lost, gone, back []netmove.Attachment) {
	log, c := recordLog(t.log, r), *r
	c.Devices, c.Lost = here, lost
	c.Problems = map[string]journal.Problem{}
	maps.Copy(c.Problems, r.Problems)
	for _, a := range gone {
		c.Problems[a.Before.Name] = journal.Problem{Text: goneFromPod}
		t.observer.Returned(OutcomeLost)
		log.Error("device is lost while the pod runs", "device", a.Before.Name, "hint", "delete the pod, so that it starts anew")
	}
	for _, a := range back {
		delete(c.Problems, a.Before.Name)
		log.Info("device is in the pod again", "device", a.Before.Name)
	}
	if err := t.journal.Put(&c); err != nil {
		log.Error("cannot write the record", "err", err)
	}
}

// search is one look for the devices of a sandbox.
type search struct {
	*Table
	sandbox string
	netns   netmove.Namespace // nil if it was not found: then nothing counts as missing
	home    []netmove.Identity
}

// finds reports whether the pod has the device, and notes a device that is home.
func (s *search) finds(a netmove.Attachment) bool {
	if s.netns != nil {
		if _, err := s.netns.Find(a.Before.Identity, a.PodIndex); err == nil {
			return true
		}
	}
	if s.isHome(a) {
		s.home = append(s.home, a.Before.Identity)
	}
	return false
}

// misses reports whether the device was missing in the pod and on the host often enough in
// a row. It notes a device that is home.
func (s *search) misses(a netmove.Attachment) bool {
	key := "in pod " + deviceKey(a)
	if s.netns == nil {
		if s.isHome(a) {
			s.home = append(s.home, a.Before.Identity)
		}
		return false
	}
	_, err := s.netns.Find(a.Before.Identity, a.PodIndex)
	if errors.Is(err, netmove.ErrNotFound) {
		_, err = s.mover.Host.Find(a.Before.Identity, 0)
		if err == nil {
			s.home = append(s.home, a.Before.Identity)
		}
	}
	if !errors.Is(err, netmove.ErrNotFound) {
		s.memories.done(s.sandbox, key)
		return false
	}
	s.memories.look(s.sandbox, func(one *memory) { one.lookedAt, one.missing = 0, true })
	return s.memories.try(s.sandbox, key) >= looksInVain
}

// isHome reports whether the device is on the host, under whatever name it has there.
func (t *Table) isHome(a netmove.Attachment) bool {
	_, err := t.mover.Host.Find(a.Before.Identity, 0)
	return err == nil
}
