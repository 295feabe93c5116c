package netmove

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// moveHomeTries bounds how often the way home is tried around names, indexes
// and devices that the host or a hostile pod changes meanwhile. A try that
// fails costs a few requests and no move.
const moveHomeTries = 32

// errImpostor means that another device has come home in the place of ours:
// the pod exchanged them between the look and the move.
var errImpostor = errors.New("another device has taken its ifindex in the pod")

// Return brings the device home, wherever it is, and makes it what it was
// before the attach, whatever the pod made of it. A device that is home and as
// it was is left alone, so Return may be repeated, and it finishes what an
// earlier one could not.
//
// pod is nil when the pod's namespace is gone. Everything that can be put back
// is put back, also when something else cannot; the errors are joined. Of
// them ErrLost means that the device exists no more, ErrDiffers that it is
// home and something could not be put back, ErrMisnamed that this is its name.
// After any other error, ErrStacked among them, the pod's namespace is needed
// for the next try: the device may still be in it.
func (m *Mover) Return(pod Namespace, a *Attachment) error {
	before := a.Before
	if pod != nil {
		if err := m.fetch(pod, a); err != nil {
			return fmt.Errorf("return %q from the pod: %w", before.Name, err)
		}
	}
	dev, err := m.Host.Locate(before.Identity, before.Identity.Index)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("return %q: %w", before.Name, ErrLost)
	}
	if err != nil {
		return fmt.Errorf("return %q: %w", before.Name, err)
	}
	if pod != nil {
		if err := m.unstack(pod, dev, before); err != nil {
			return fmt.Errorf("return %q: %w", before.Name, err)
		}
	}
	if err := m.restore(dev, before); err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	return nil
}

// fetch moves the device from the pod to the host, if it is in the pod.
func (m *Mover) fetch(pod Namespace, a *Attachment) error {
	var err error
	for range moveHomeTries {
		dev, lerr := pod.Locate(a.Before.Identity, a.PodIndex)
		if errors.Is(lerr, ErrNotFound) {
			return nil
		}
		if lerr != nil {
			return lerr
		}
		err = m.moveHome(pod, dev, a.Before)
		if !errors.Is(err, ErrNameTaken) && !errors.Is(err, ErrNotFound) && !errors.Is(err, errImpostor) {
			return err
		}
	}
	return err
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
	err := pod.Move(index, m.Host, before.Name, before.Identity.Index)
	if errors.Is(err, ErrIndexTaken) {
		err = pod.Move(index, m.Host, before.Name, 0)
	}
	if errors.Is(err, ErrNameTaken) {
		if _, lerr := pod.Locate(before.Identity, index); errors.Is(lerr, ErrNotFound) {
			return nil // home, under the name it travelled with
		}
		return errors.Join(err, m.dropTakenAltnames(pod, index, before))
	}
	if err != nil {
		return err
	}
	return m.checkArrival(pod, before)
}

// checkArrival makes sure that what has come home is ours. A device that a
// process with a socket in the pod put in its place goes back there.
func (m *Mover) checkArrival(pod Namespace, before Snapshot) error {
	_, err := m.Host.Locate(before.Identity, before.Identity.Index)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	other, err := m.Host.Link(before.Name)
	if err != nil {
		return err
	}
	if err := m.Host.Move(other.Identity.Index, pod, anyName, 0); err != nil {
		return fmt.Errorf("send back a device that came in place of %q: %w", before.Name, err)
	}
	return errImpostor
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
	squatter, err := pod.Link(name)
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

// restore makes the device, which is home, what it was. It changes only what
// differs and goes on after an error.
func (m *Mover) restore(dev, before Snapshot) error {
	err := m.runAll(before.Name, m.linkSteps(dev, before))
	// Read again after the names are settled: a rename gives every IPv4 address
	// but the first another label (inetdev_changename), and sets the device
	// down before Linux 6.2.
	dev, rerr := m.Host.Locate(before.Identity, dev.Identity.Index)
	if rerr == nil {
		dev.Addresses, rerr = m.Host.Addresses(dev.Identity.Index)
	}
	if rerr != nil {
		return errors.Join(err, fmt.Errorf("look at it again: %w", rerr))
	}
	programs, derr := m.detach(dev, before)
	if derr != nil {
		return errors.Join(err, derr, m.seal(dev))
	}
	err = errors.Join(err, m.runAll(before.Name, m.stateSteps(dev, before)))
	if err == nil {
		m.tell(before, programs)
	}
	return err
}

func (m *Mover) runAll(device string, steps []step) error {
	var errs []error
	for _, s := range steps {
		m.Log.Debug("step", "device", device, "step", s.what)
		if err := s.do(); err != nil {
			errs = append(errs, &StepError{Device: device, Step: s.what, Err: err})
		}
	}
	return errors.Join(errs...)
}

// linkSteps put back what the device is: names and properties of the link.
func (m *Mover) linkSteps(dev, before Snapshot) []step {
	host, index := m.Host, dev.Identity.Index
	var steps []step
	add := func(differs bool, do func() error, what string, args ...any) {
		if differs {
			steps = append(steps, step{fmt.Sprintf(what, args...), do})
		}
	}
	add(dev.Name != before.Name, func() error { return m.renameHome(dev, before) }, "rename %q to %q", dev.Name, before.Name)
	for _, alt := range dev.Altnames {
		add(!slices.Contains(before.Altnames, alt), func() error { return host.DropAltname(index, alt) }, "drop altname %q", alt)
	}
	for _, alt := range before.Altnames {
		add(!slices.Contains(dev.Altnames, alt), func() error { return host.AddAltname(index, alt) }, "add altname %q", alt)
	}
	add(dev.Alias != before.Alias, func() error { return host.SetAlias(index, before.Alias) }, "set alias %q", before.Alias)
	add(!dev.MAC.Equal(before.MAC), func() error { return m.setMAC(dev, before.MAC) }, "set MAC %s", before.MAC)
	add(dev.MTU != before.MTU, func() error { return host.SetMTU(index, before.MTU) }, "set MTU %d", before.MTU)
	add(dev.TxQueueLen != before.TxQueueLen, func() error { return host.SetTxQueueLen(index, before.TxQueueLen) },
		"set transmit queue length %d", before.TxQueueLen)
	add(dev.Group != before.Group, func() error { return host.SetGroup(index, before.Group) }, "set group %d", before.Group)
	if master, ok := m.master(before); ok {
		add(dev.Master.Index != master, func() error { return host.SetMaster(index, master) }, "set master ifindex %d", master)
	}
	return steps
}

// stateSteps put back what the device does: flags, addresses, up or down.
func (m *Mover) stateSteps(dev, before Snapshot) []step {
	host, index := m.Host, dev.Identity.Index
	var steps []step
	want, have := before.Flags, dev.Flags
	want.Up, have.Up = false, false
	if want != have {
		steps = append(steps, step{"set flags", func() error { return host.SetFlags(index, before.Flags) }})
	}
	if dev.Flags.Up && !before.Flags.Up {
		steps = append(steps, step{"set down", func() error { return host.SetUp(index, false) }})
	}
	drop, put := m.addressChange(dev.Addresses, before)
	for _, a := range drop {
		steps = append(steps, step{"drop address " + a.String(), func() error { return m.dropAddress(index, a) }})
	}
	return append(steps, addressSteps(host, index, put, before.Flags.Up && !dev.Flags.Up)...)
}

func (m *Mover) dropAddress(index int, a Address) error {
	err := m.Host.DropAddress(index, a)
	if errors.Is(err, ErrNotFound) {
		return nil // a secondary that went with its primary
	}
	return err
}

// addressChange tells what turns the addresses that the device has into those
// of the snapshot, with the lifetimes that are left by now. Since order
// matters (the first IPv4 address of a subnet is the primary one, and source
// addresses are chosen by it), all are put anew unless nothing is to do.
// Addresses that are not the snapshot's are somebody else's and stay.
func (m *Mover) addressChange(have []Address, before Snapshot) (drop, put []Address) {
	elapsed := time.Duration(m.Kernel.Now() - before.TakenAt)
	for _, a := range before.Addresses {
		if a.madeByKernel() {
			continue
		}
		if a, ok := a.after(elapsed); ok {
			put = append(put, a)
		}
	}
	for _, a := range have {
		if slices.ContainsFunc(put, a.sameKey) {
			drop = append(drop, a)
		}
	}
	if slices.EqualFunc(drop, put, Address.same) {
		return nil, nil
	}
	return drop, put
}

// renameHome gives the device its own name again. Where the host has given
// that away, the device gets its recognisable name, if it has not got it yet.
func (m *Mover) renameHome(dev, before Snapshot) error {
	// Looked up first, since a rename may set the device down to no avail.
	taken, err := m.Host.NameTaken(before.Name)
	if err == nil && !taken {
		err = m.rename(m.Host, dev.Identity.Index, before.Name)
	}
	if err != nil && !errors.Is(err, ErrNameTaken) {
		return err
	}
	if err == nil && !taken {
		return nil
	}
	name := dev.Identity.RecognisableName()
	if dev.Name != name {
		if rerr := m.rename(m.Host, dev.Identity.Index, name); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	return fmt.Errorf("%w, %q: the name %q is taken", ErrMisnamed, name, before.Name)
}

// master is the ifindex of the device's master, 0 for none. A master that is
// gone is none, and no reason to keep the device.
func (m *Mover) master(before Snapshot) (index int, ok bool) {
	if before.Master.Index == 0 {
		return 0, true
	}
	master, err := m.Host.Locate(before.Master, before.Master.Index)
	if err != nil {
		m.Log.Warn("the device's master is gone", "device", before.Name, "err", err)
		return 0, false
	}
	return master.Identity.Index, true
}

// setMAC puts the MAC back, on a device that the driver may want to be down.
func (m *Mover) setMAC(dev Snapshot, mac MAC) error {
	err := m.Host.SetMAC(dev.Identity.Index, mac)
	if !errors.Is(err, ErrBusy) || !dev.Flags.Up {
		return err
	}
	if err := m.Host.SetUp(dev.Identity.Index, false); err != nil {
		return err
	}
	return errors.Join(m.Host.SetMAC(dev.Identity.Index, mac), m.Host.SetUp(dev.Identity.Index, true))
}
