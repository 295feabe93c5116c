package netmove

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// restorePasses is how often what differs is put back before that is given up:
// an option may depend on another one that is put back after it.
const restorePasses = 2

// anyMaster, in the place of an ifindex, means the one that the device has.
const anyMaster = -1

// restore makes the device, which is home, what it was. It changes only what
// differs and goes on after an error. What counts in the end is not what the
// kernel has answered but what the device is.
func (m *Mover) restore(dev Snapshot, a *Attachment) error {
	want, lowered := m.withLower(dev, m.withMaster(a.Before))
	for pass := 1; ; pass++ {
		failed := failures{}
		programs, err := m.pass(&dev, want, a, failed)
		if err != nil {
			return errors.Join(failed.all(), err)
		}
		left := m.differences(dev, want)
		if len(left) == 0 || pass == restorePasses {
			undone := failed.of(want.Name, left)
			undone.minor = append(append(undone.minor, lowered...), m.reattach(dev, a.Before, programs)...)
			return undone.err()
		}
	}
}

// pass puts back what differs, and looks at what has become of the device.
func (m *Mover) pass(dev *Snapshot, want Snapshot, a *Attachment, failed failures) (seen, error) {
	if steps := m.compareLink(*dev, want); len(steps) > 0 {
		m.runAll(want.Name, m.orDown(*dev, a, steps), failed)
		// Read again after the names are settled: a rename gives every IPv4 address
		// but the first another label (inetdev_changename), and sets the device
		// down before Linux 6.2. As a port it has options that it had not.
		if err := m.lookAgain(dev, AllParts); err != nil {
			return seen{}, err
		}
	}
	programs, err := m.detach(*dev, want)
	if err != nil {
		return seen{}, errors.Join(err, m.seal(*dev))
	}
	steps := m.compareState(*dev, want)
	if len(steps) == 0 {
		return programs, nil
	}
	m.runAll(want.Name, steps, failed)
	parts := AllParts
	if !slices.ContainsFunc(steps, func(s step) bool { return strings.HasPrefix(s.attribute, sysctlAttribute) }) {
		parts &^= PartSysctls // reading them costs as much as half of the rest
	}
	return programs, m.lookAgain(dev, parts)
}

// lookAgain reads those parts of the device anew.
func (m *Mover) lookAgain(dev *Snapshot, parts Parts) error {
	if err := m.Host.Fill(dev, parts); err != nil {
		return fmt.Errorf("look at it again: %w", err)
	}
	return nil
}

// failures are the errors of a pass by what was tried.
type failures map[string]error

func (f failures) all() error {
	var errs []error
	for _, what := range slices.Sorted(maps.Keys(f)) {
		errs = append(errs, f[what])
	}
	return errors.Join(errs...)
}

// undone is why steps are still to be done.
type undone struct {
	major []error
	minor []*StepError
}

// of tells why these steps are still to be done.
func (f failures) of(device string, left []step) (u undone) {
	for _, s := range left {
		e := &StepError{Device: device, Step: s.what, Attribute: s.attribute, Err: errors.New("it had no effect")}
		if err := f[s.what]; err != nil {
			e.Err = err
		}
		if s.minor {
			u.minor = append(u.minor, e)
		} else {
			u.major = append(u.major, e)
		}
	}
	return u
}

// err is nil if nothing is left, and a MinorError if everything is minor.
func (u undone) err() error {
	minor := &MinorError{u.minor}
	if len(u.major)+len(u.minor) == 0 {
		return nil
	}
	if len(u.major) == 0 {
		return minor
	}
	return errors.Join(append(u.major, minor.Unwrap()...)...)
}

func (m *Mover) runAll(device string, steps []step, failed failures) {
	for _, s := range steps {
		m.Log.Debug("step", "device", device, "step", s.what)
		if err := s.do(); err != nil {
			failed[s.what] = err
		}
	}
}

// differences are the steps that make the device what it shall be.
func (m *Mover) differences(dev, want Snapshot) []step {
	return append(m.compareLink(dev, want), m.compareState(dev, want)...)
}

// compareLink compares what the device is: names and properties of the link.
func (m *Mover) compareLink(dev, want Snapshot) todo {
	host, index := m.Host, dev.Identity.Index
	var t todo
	equal(&t, "name", dev.Name, want.Name, func() error { return m.renameHome(dev, want) }, "rename to %q")
	t = append(t, compareNames(host, dev, want)...)
	equal(&t, "alias", dev.Alias, want.Alias, func() error { return host.SetAlias(index, want.Alias) }, "set alias %q")
	// How long a MAC is goes by the link type.
	t = append(t, mayWantDown(compareOptions(host, dev.options(Option.isLinkType), want.options(Option.isLinkType)))...)
	equalOrDown(&t, "mac", dev.MAC.String(), want.MAC.String(), func() error { return host.SetMAC(index, want.MAC) }, "set MAC %s")
	equalOrDown(&t, "mtu", dev.MTU, want.MTU, func() error { return host.SetMTU(index, want.MTU) }, "set MTU %d")
	equal(&t, "txqueuelen", dev.TxQueueLen, want.TxQueueLen,
		func() error { return host.SetTxQueueLen(index, want.TxQueueLen) }, "set transmit queue length %d")
	equal(&t, "group", dev.Group, want.Group, func() error { return host.SetGroup(index, want.Group) }, "set group %d")
	flags, have := want.Flags, dev.Flags
	flags.Up, have.Up = false, false
	if want.older() {
		flags = flags.withNewer(have)
	}
	equal(&t, "flags", have, flags, func() error { return host.SetFlags(index, flags) }, "set flags %s")
	// A team sets its new port up, which makes an IPv6 address then, or does not.
	t = append(t, compareOptions(host, dev.options(Option.ofLink), want.options(Option.ofLink))...)
	if want.Master.Index != anyMaster {
		// Bonds and teams want a new port to be down, and set it up.
		equalOrDown(&t, "master", dev.Master.Index, want.Master.Index,
			func() error { return host.SetMaster(index, want.Master.Index) }, "set master ifindex %d")
	}
	return t
}

// compareState compares what the device does: sysctls, options that depend on them,
// up or down with addresses, and then what needs it to be up.
func (m *Mover) compareState(dev, want Snapshot) todo {
	host, index := m.Host, dev.Identity.Index
	var t todo
	if perm := want.Identity.PermMAC; !dev.Identity.PermMAC.Equal(perm) {
		t.addMinor("permanent mac", func() error { return m.reset(index) }, "reset it to the permanent MAC %s", perm)
	}
	t = append(t, compareSysctls(host, dev, want)...)
	t = append(t, compareOptions(host, dev.options(Option.ofState), want.options(Option.ofState))...)
	t.add(dev.Flags.Up && !want.Flags.Up, "up", func() error { return host.SetUp(index, false) }, "set down")
	t = append(t, compareAddresses(host, dev, want, m.Now())...)
	return append(t, compareEntries(host, dev, want, m.Now())...)
}

// withMaster is the snapshot with the ifindex that the master has by now. A
// master that is gone is no reason to keep the device.
func (m *Mover) withMaster(before Snapshot) Snapshot {
	if before.Master.Index == 0 {
		return before
	}
	master, err := m.Host.Find(before.Master, before.Master.Index)
	if err == nil {
		before.Master = master.Identity
		return before
	}
	m.Log.Warn("the device's master is gone", "device", before.Name, "err", err)
	before.Master.Index = anyMaster
	before.Options = slices.DeleteFunc(slices.Clone(before.Options), func(o Option) bool { return strings.Contains(o.Name, PortOption) })
	before.Entries = slices.DeleteFunc(slices.Clone(before.Entries), func(e Entry) bool { return e.Port })
	return before
}

// renameHome gives the device its own name again. Where the host has given
// that away, the device gets its recognisable name, if it has not got it yet.
func (m *Mover) renameHome(dev, before Snapshot) error {
	index := dev.Identity.Index
	err := m.takeName(index, before.Name)
	if !errors.Is(err, ErrNameTaken) {
		return err
	}
	name := dev.Identity.RecognisableName()
	if dev.Name != name {
		if rerr := m.rename(m.Host, index, name); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	return fmt.Errorf("%w, %q: the name %q is taken", ErrMisnamed, name, before.Name)
}

// takeNameTries bounds how often a name is tried that comes and goes meanwhile.
const takeNameTries = 8

// takeName renames the device on the host. The name may be taken by the device
// itself, as an altname: the pod gave it that, or udev, which knows the device by
// this name and finds it under another one. ErrNameTaken means that another
// device has it.
func (m *Mover) takeName(index int, name string) (err error) {
	for range takeNameTries {
		// Looked up first, since a rename may set the device down to no avail.
		holder, lerr := m.Host.ByName(name)
		switch {
		case errors.Is(lerr, ErrNotFound):
			if err = m.rename(m.Host, index, name); !errors.Is(err, ErrNameTaken) {
				return err
			}
		case lerr != nil:
			return lerr
		case holder.Identity.Index != index:
			return ErrNameTaken
		default:
			if err = m.Host.DropAltname(index, name); err != nil && !errors.Is(err, ErrNotFound) {
				return fmt.Errorf("drop altname %q: %w", name, err)
			}
			err = ErrNameTaken
		}
	}
	return err
}

// reset has the driver start from the MAC that the device has. Some, such as igbvf,
// take that for the permanent one then, and so a pod has made its own one that. The
// device is up for a moment: not before the pod's programs are off it.
func (m *Mover) reset(index int) error {
	return errors.Join(m.Host.SetUp(index, true), m.Host.SetUp(index, false))
}

// orDown has steps that a driver refuses for a device that is up tried again with the device
// down. It goes up with its addresses. That is done once for an attachment: what is refused
// for another reason would have the device go down at each try of its return.
func (m *Mover) orDown(dev Snapshot, a *Attachment, steps []step) []step {
	for i := range steps {
		if s := steps[i]; s.down {
			steps[i].do = func() error {
				err := s.do()
				if !errors.Is(err, ErrBusy) || !dev.Flags.Up || a.Downed {
					return err
				}
				a.Downed = true
				if err := m.Host.SetUp(dev.Identity.Index, false); err != nil {
					return err
				}
				return s.do()
			}
		}
	}
	return steps
}

// seal leaves a device that is not as it was down and without the addresses of
// the snapshot, so that nothing passes through what is on it.
func (m *Mover) seal(dev Snapshot) error {
	if !dev.Flags.Up {
		return nil
	}
	return m.Host.SetUp(dev.Identity.Index, false)
}
