package netmove

import (
	"errors"
	"fmt"
	"slices"
)

// moveHomeTries bounds how often the way home is tried around names, indexes
// and devices that the host or a hostile pod changes meanwhile. A try that
// fails costs a few requests and no move.
const moveHomeTries = 32

// errImpostor means that another device has come home in the place of ours:
// the pod exchanged them between the look and the move.
var errImpostor = errors.New("another device has taken its ifindex in the pod")

// Return brings the device home, wherever it is, and makes it what it was
// before the attach, however far that came, and whatever the pod made of it. A
// device that is home and as it was is left alone, so Return may be repeated, and
// it completes what an earlier one could not.
//
// pod is nil when the pod's namespace is gone. Everything that can be put back
// is put back, also when something else cannot; the errors are joined. Of
// them ErrLost means that the device exists no more, ErrDiffers that it is
// home and something could not be put back, ErrMisnamed that this is its name.
// After any other error, ErrStacked among them, the pod's namespace is needed
// for the next try: the device may still be in it.
func (m *Mover) Return(pod Namespace, a *Attachment) error {
	if pod == nil {
		return m.bringHome(pod, a)
	}
	err := errors.Join(dropGuard(pod, a), dropRules(pod, a)) // these keep no device from its way
	home := m.bringHome(pod, a)
	if leftPod(home) {
		err = errors.Join(err, m.putBackReplaced(pod, a))
	}
	return errors.Join(home, err)
}

// leftPod reports whether the device is not in the pod any more, by what Return would say.
func leftPod(err error) bool {
	for _, known := range []error{nil, ErrLost, ErrDiffers, ErrMisnamed} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func (m *Mover) bringHome(pod Namespace, a *Attachment) error {
	before := a.Before
	dev, err := m.fetch(pod, a)
	if err == nil && pod != nil {
		err = m.unstack(pod, dev, before)
	}
	if err != nil {
		return fmt.Errorf("return %q: %w", before.Name, err)
	}
	err = m.restore(dev, a)
	var minor *MinorError
	if err == nil || errors.As(err, &minor) {
		err = minor.and(m.mend(before))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	return nil
}

// fetch looks at the device on the host, where it moves it first if it is in the pod.
func (m *Mover) fetch(pod Namespace, a *Attachment) (dev Snapshot, err error) {
	if pod == nil {
		return m.lookAtHome(a.Before.Identity)
	}
	for range moveHomeTries {
		dev, err = pod.Find(a.Before.Identity, a.PodIndex)
		if errors.Is(err, ErrNotFound) {
			return m.lookAtHome(a.Before.Identity)
		}
		if err == nil {
			err = m.moveHome(pod, dev, a.Before)
		}
		if err == nil {
			dev, err = m.arrived(pod, a.Before)
		}
		if !errors.Is(err, ErrNameTaken) && !errors.Is(err, ErrNotFound) && !errors.Is(err, errImpostor) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("from the pod: %w", err)
	}
	return dev, err
}

// lookAtHome looks at a device that has been on the host for a while.
func (m *Mover) lookAtHome(id Identity) (Snapshot, error) {
	dev, err := m.look(id)
	if errors.Is(err, ErrNotFound) {
		err = ErrLost
	}
	return dev, err
}

// look finds the device on the host and reads all of it. Error: ErrNotFound.
func (m *Mover) look(id Identity) (Snapshot, error) {
	dev, err := m.Host.Find(id, id.Index)
	if err == nil {
		err = m.Host.Fill(&dev, AllParts)
	}
	return dev, err
}

// moveHome does not rely on any name that the pod had in its hands: altnames
// that the pod added go first, since one that collides on the host would keep
// the device in the pod, and the device travels under its recognisable name, so
// that it is known wherever a failure leaves it.
func (m *Mover) moveHome(pod Namespace, dev, before Snapshot) error {
	index := dev.Identity.Index
	for _, alt := range dev.Altnames {
		if slices.Contains(before.Altnames, alt) {
			continue
		}
		if err := pod.DropAltname(index, alt); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("drop altname %q: %w", alt, err)
		}
	}
	if err := strip(pod, dev, before); err != nil {
		return err
	}
	if err := m.renameRecognisable(pod, dev, before.Identity); err != nil {
		return err
	}
	err := m.timedMove(pod, index, m.Host, before.Name, before.Identity.Index)
	if errors.Is(err, ErrIndexTaken) {
		err = m.timedMove(pod, index, m.Host, before.Name, 0)
	}
	if errors.Is(err, ErrNameTaken) {
		if _, lerr := pod.Find(before.Identity, index); errors.Is(lerr, ErrNotFound) {
			return err // home, under the name it travelled with, as the next look finds
		}
		return errors.Join(err, m.dropTakenAltnames(pod, index, before))
	}
	return err
}

// arrived looks at the device that has come home, if it is ours. One that a
// process with a socket in the pod put in its place goes back there.
func (m *Mover) arrived(pod Namespace, before Snapshot) (Snapshot, error) {
	dev, err := m.look(before.Identity)
	if !errors.Is(err, ErrNotFound) {
		return dev, err
	}
	other, lerr := m.Host.ByName(before.Name)
	if lerr != nil {
		return dev, lerr
	}
	if other.Identity.Same(before.Identity) {
		return dev, err // it was not there a moment ago
	}
	if err := m.Host.Move(other.Identity.Index, pod, anyName, 0); err != nil {
		return dev, fmt.Errorf("send back a device that came in place of %q: %w", before.Name, err)
	}
	return dev, errImpostor
}

// anyName lets the kernel choose a free name, for a device that is in the way.
const anyName = "nri%d"

// renameRecognisable gives the device in the pod its recognisable name. Where
// the pod took that name, to be in the way, the other device gives way.
func (m *Mover) renameRecognisable(pod Namespace, dev Snapshot, id Identity) error {
	name := id.RecognisableName()
	if dev.Name == name {
		return nil
	}
	err := m.rename(pod, dev.Identity.Index, name)
	if !errors.Is(err, ErrNameTaken) {
		return err
	}
	squatter, err := pod.ByName(name)
	if err != nil {
		return err
	}
	if squatter.Name == name {
		err = m.rename(pod, squatter.Identity.Index, anyName)
	} else {
		err = pod.DropAltname(squatter.Identity.Index, name)
	}
	if err != nil {
		return fmt.Errorf("free the name %q in the pod: %w", name, err)
	}
	return m.rename(pod, dev.Identity.Index, name)
}

// rename renames a device that may be up, which Linux before 6.2 refuses.
func (m *Mover) rename(ns Namespace, index int, name string) error {
	err := ns.Rename(index, name)
	if errors.Is(err, ErrBusy) {
		if err := ns.SetUp(index, false); err != nil {
			return fmt.Errorf("set down for the rename to %q: %w", name, err)
		}
		err = ns.Rename(index, name)
	}
	if err != nil {
		return fmt.Errorf("rename to %q: %w", name, err)
	}
	return nil
}

// dropTakenAltnames takes those altnames off the device that the host has
// given to another one meanwhile: the move would fail for them.
func (m *Mover) dropTakenAltnames(pod Namespace, index int, before Snapshot) error {
	for _, alt := range before.Altnames {
		taken, err := m.Host.NameTaken(alt)
		if err != nil {
			return err
		}
		if !taken {
			continue
		}
		if err := pod.DropAltname(index, alt); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("drop altname %q: %w", alt, err)
		}
	}
	return nil
}
