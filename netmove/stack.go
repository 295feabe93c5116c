package netmove

import (
	"errors"
	"fmt"
	"slices"
)

// Here is the Nsid of a device that is in the namespace itself.
const Here = -1

// Upper is a device that is built on another one, in whatever namespace.
type Upper struct {
	// Snapshot has inode 0 if the device's namespace could not be entered: no
	// process is in it.
	Snapshot

	Nsid   int  // of its namespace, as the pod's namespace knows it
	Elder  bool // it was made before the pod's namespace was
	Shared bool // the host knows its namespace, too
}

// strip removes the devices that the pod has built on ours and left in its
// namespace: they would go on receiving the host device's frames after it went
// home. What was on the device before the attach is the host's, and may be in
// the pod because that was given it, too.
func strip(pod Namespace, dev, before Snapshot) error {
	uppers, err := pod.Uppers(dev)
	if err != nil {
		return fmt.Errorf("look for devices on it: %w", err)
	}
	for _, u := range uppers {
		if before.hasUpper(u.Identity) {
			continue
		}
		if err := pod.Delete(u.Identity.Index); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("remove %q, which the pod built on it: %w", u.Name, err)
		}
	}
	return nil
}

// unstack removes, from a device that is home, the devices that the pod built on
// it and moved on to namespaces of its own: they would go on receiving the
// host's frames. What is left in the pod by a process that built it while the
// device left goes, too. It looks at a device that has come home, and not at one
// that is about to leave, since nobody in the pod can build on it any more.
//
// A hostile pod chooses names, MACs and ids, and can have the host know its
// namespaces and hide them among other pods': it moves the end of a pair to
// them. But what was there before the pod was is not the pod's, and that
// cannot be forged.
//
// A process in the pod may move them about meanwhile, and one that is being moved
// cannot be seen, so it looks until there is nothing to remove twice in a row.
func (m *Mover) unstack(pod Namespace, dev, before Snapshot) error {
	clean := 0
	for range unstackTries {
		removed, err := m.unstackFound(pod, dev, before)
		if err != nil {
			return err
		}
		if removed > 0 {
			clean = 0
		} else if clean++; clean == cleanLooks {
			return nil
		}
	}
	return errors.New("devices on it are moved about faster than they can be removed")
}

const (
	unstackTries = 32 // looks at most
	cleanLooks   = 2  // in a row, that are enough
)

// sharesBelow reports whether the kernel builds what is made on the device beside it, on the
// one below (macvlan_common_newlink, ipvlan_link_new).
func (s Snapshot) sharesBelow() bool {
	return s.Below != 0 && slices.Contains([]string{"macvlan", "macvtap", "ipvlan", "ipvtap"}, s.Identity.Kind)
}

// built finds what may have been built on the device. Of what stands beside it, on the one
// below, only that counts which is in namespaces that the host does not know: others' are
// left out. What is in the pod itself goes with the pod's namespace.
func (m *Mover) built(pod Namespace, dev Snapshot) ([]Upper, error) {
	found, err := pod.Stacked(m.Host, dev.Identity.Index)
	if err != nil || !dev.sharesBelow() {
		return found, err
	}
	beside, err := pod.Stacked(m.Host, dev.Below)
	beside = slices.DeleteFunc(beside, func(u Upper) bool { return u.Nsid == Here || u.Shared })
	return append(found, beside...), err
}

// unstackFound removes what one look finds, and tells how many that were.
func (m *Mover) unstackFound(pod Namespace, dev, before Snapshot) (removed int, err error) {
	found, err := m.built(pod, dev)
	if err != nil {
		return 0, fmt.Errorf("look for devices on it: %w", err)
	}
	var errs []error
	for _, u := range found {
		switch {
		case u.Elder, before.hasUpper(u.Identity), m.Holds != nil && m.Holds(u.Identity):
			continue
		case u.Identity.Inode == 0 && u.Shared:
			errs = append(errs, fmt.Errorf("%w: %q, in a namespace that nobody is in", ErrStacked, u.Name))
			continue
		}
		m.Log.Debug("step", "device", before.Name, "step", "remove "+u.Name+", built on it")
		if err := pod.Unstack(u); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, fmt.Errorf("remove %q, which the pod built on it: %w", u.Name, err))
		}
		removed++
	}
	return removed, errors.Join(errs...)
}
