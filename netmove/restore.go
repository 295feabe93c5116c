package netmove

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// restorePasses is how often what differs is put back before that is given up:
// an option may depend on another one that is put back after it.
const restorePasses = 2

// sysctlAttribute begins what a step that sets a sysctl is about.
const sysctlAttribute = "sysctl "

// anyMaster, in the place of an ifindex, means the one that the device has.
const anyMaster = -1

// restore makes the device, which is home, what it was. It changes only what
// differs and goes on after an error. What counts in the end is not what the
// kernel has answered but what the device is.
func (m *Mover) restore(dev, before Snapshot) error {
	want := m.withMaster(before)
	for pass := 1; ; pass++ {
		failed := failures{}
		after, programs, err := m.pass(dev, want, failed)
		if err != nil {
			return errors.Join(failed.all(), err)
		}
		left := m.differences(after, want)
		if len(left) == 0 || pass == restorePasses {
			undone := failed.of(before.Name, left)
			undone.minor = append(undone.minor, m.reattach(after, before, programs)...)
			return undone.err()
		}
		dev = after
	}
}

// pass puts back what differs, and looks at what has become of the device.
func (m *Mover) pass(dev, want Snapshot, failed failures) (Snapshot, look, error) {
	var err error
	if steps := m.linkSteps(dev, want); len(steps) > 0 {
		m.runAll(want.Name, steps, failed)
		// Read again after the names are settled: a rename gives every IPv4 address
		// but the first another label (inetdev_changename), and sets the device
		// down before Linux 6.2. As a port it has options that it had not.
		dev, err = m.lookAgain(dev, want)
	}
	if err != nil {
		return dev, look{}, err
	}
	programs, err := m.detach(dev, want)
	if err != nil {
		return dev, look{}, errors.Join(err, m.seal(dev))
	}
	steps := m.stateSteps(dev, want)
	if len(steps) == 0 {
		return dev, programs, nil
	}
	m.runAll(want.Name, steps, failed)
	if slices.ContainsFunc(steps, func(s step) bool { return strings.HasPrefix(s.attribute, sysctlAttribute) }) {
		dev, err = m.lookAgain(dev, want)
	} else if dev, err = m.Host.LookAgain(dev); err != nil {
		err = fmt.Errorf("look at it again: %w", err)
	}
	return dev, programs, err
}

func (m *Mover) lookAgain(dev, want Snapshot) (Snapshot, error) {
	dev, err := m.Host.Look(want.Identity, dev.Identity.Index)
	if err != nil {
		return dev, fmt.Errorf("look at it again: %w", err)
	}
	return dev, nil
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
	return append(m.linkSteps(dev, want), m.stateSteps(dev, want)...)
}

// todo is a list of steps.
type todo []step

// add appends the step for an attribute, if that differs.
func (t *todo) add(differs bool, attribute string, do func() error, what string, args ...any) {
	if differs {
		*t = append(*t, step{what: fmt.Sprintf(what, args...), attribute: attribute, do: do})
	}
}

// addMinor appends the step for an attribute without which the device is of use
// nevertheless.
func (t *todo) addMinor(attribute string, do func() error, what string, args ...any) {
	*t = append(*t, step{what: fmt.Sprintf(what, args...), attribute: attribute, do: do, minor: true})
}

// linkSteps put back what the device is: names and properties of the link.
func (m *Mover) linkSteps(dev, want Snapshot) []step {
	host, index := m.Host, dev.Identity.Index
	var t todo
	t.add(dev.Name != want.Name, "name", func() error { return m.renameHome(dev, want) }, "rename to %q", want.Name)
	for _, alt := range dev.Altnames {
		t.add(!slices.Contains(want.Altnames, alt), "altnames", func() error { return host.DropAltname(index, alt) }, "drop altname %q", alt)
	}
	for _, alt := range want.Altnames {
		t.add(!slices.Contains(dev.Altnames, alt), "altnames", func() error { return host.AddAltname(index, alt) }, "add altname %q", alt)
	}
	t.add(dev.Alias != want.Alias, "alias", func() error { return host.SetAlias(index, want.Alias) }, "set alias %q", want.Alias)
	t.add(!dev.MAC.Equal(want.MAC), "mac", func() error { return m.setMAC(dev, want.MAC) }, "set MAC %s", want.MAC)
	t.add(dev.MTU != want.MTU, "mtu", func() error { return m.orDown(dev, func() error { return host.SetMTU(index, want.MTU) }) },
		"set MTU %d", want.MTU)
	t.add(dev.TxQueueLen != want.TxQueueLen, "txqueuelen", func() error { return host.SetTxQueueLen(index, want.TxQueueLen) },
		"set transmit queue length %d", want.TxQueueLen)
	t.add(dev.Group != want.Group, "group", func() error { return host.SetGroup(index, want.Group) }, "set group %d", want.Group)
	flags, have := want.Flags, dev.Flags
	flags.Up, have.Up = false, false
	t.add(flags != have, "flags", func() error { return host.SetFlags(index, want.Flags) }, "set flags")
	// A team sets its new port up, which makes an IPv6 address then, or does not.
	for _, o := range differing(want.Options, dev.Options) {
		if o.ofLink() {
			t.addMinor("option "+o.Name, func() error { return host.SetOption(index, o) }, "set option %s", o.Name)
		}
	}
	t.add(dev.Master.Index != want.Master.Index && want.Master.Index != anyMaster, "master",
		func() error { return m.setMaster(dev, want.Master.Index) }, "set master ifindex %d", want.Master.Index)
	return t
}

// stateSteps put back what the device does: sysctls, options that depend on them,
// up or down with addresses, and then what needs it to be up.
func (m *Mover) stateSteps(dev, want Snapshot) []step {
	host, index := m.Host, dev.Identity.Index
	var t todo
	if perm := want.Identity.PermMAC; !dev.Identity.PermMAC.Equal(perm) {
		t.addMinor("permanent mac", func() error { return m.reset(index) }, "reset it to the permanent MAC %s", perm)
	}
	for _, name := range slices.Sorted(maps.Keys(want.Sysctls)) {
		if value := want.Sysctls[name]; dev.Sysctls[name] != value {
			shown := " to " + value
			if strings.HasSuffix(name, "/stable_secret") {
				shown = ""
			}
			t.addMinor(sysctlAttribute+name, func() error { return host.SetSysctl(index, name, value) }, "set sysctl %s%s", name, shown)
		}
	}
	for _, o := range differing(want.Options, dev.Options) {
		set := func() error { return host.SetOption(index, o) }
		t.addMinor("option "+o.Name, func() error { return m.orDown(dev, set) }, "set option %s", o.Name)
	}
	t.add(dev.Flags.Up && !want.Flags.Up, "up", func() error { return host.SetUp(index, false) }, "set down")
	drop, put := m.addressChange(dev.Addresses, want)
	for _, a := range drop {
		t.add(true, "addresses", func() error { return m.dropAddress(index, a) }, "drop address %s", a)
	}
	t = append(t, addressSteps(host, index, put, want.Flags.Up && !dev.Flags.Up)...)
	for _, e := range missing(dev.Entries, want.Entries) {
		if e.Table == TableVLAN { // a bridge gives a new port one of its own
			t.addMinor(string(e.Table), func() error { return host.DropEntry(index, e) }, "drop %s %s", e.Table, e.Text)
		}
	}
	for _, e := range missing(want.Entries, dev.Entries) {
		t.addMinor(string(e.Table), func() error { return host.PutEntry(index, e) }, "add %s %s", e.Table, e.Text)
	}
	return t
}

// withMaster is the snapshot with the ifindex that the master has by now. A
// master that is gone is no reason to keep the device.
func (m *Mover) withMaster(before Snapshot) Snapshot {
	if before.Master.Index == 0 {
		return before
	}
	master, err := m.Host.Locate(before.Master, before.Master.Index)
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
	put = before.addressesAfter(time.Duration(m.Kernel.Now() - before.TakenAt))
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

// addressesAfter are the addresses that somebody gave the device, with the
// lifetimes that are left some time after the snapshot.
func (s Snapshot) addressesAfter(elapsed time.Duration) []Address {
	var list []Address
	for _, a := range s.Addresses {
		if a.madeByKernel() {
			continue
		}
		if a, ok := a.after(elapsed); ok {
			list = append(list, a)
		}
	}
	return list
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
		holder, lerr := m.Host.Link(name)
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

// setMAC puts the MAC back, on a device that the driver may want to be down.
func (m *Mover) setMAC(dev Snapshot, mac MAC) error {
	return m.orDown(dev, func() error { return m.Host.SetMAC(dev.Identity.Index, mac) })
}

// setMaster makes the device a port. Bonds and teams want it to be down, and set
// it up.
func (m *Mover) setMaster(dev Snapshot, master int) error {
	return m.orDown(dev, func() error { return m.Host.SetMaster(dev.Identity.Index, master) })
}

// orDown tries again with the device down, and leaves it so: it goes up with its
// addresses.
func (m *Mover) orDown(dev Snapshot, change func() error) error {
	err := change()
	if !errors.Is(err, ErrBusy) || !dev.Flags.Up {
		return err
	}
	if err := m.Host.SetUp(dev.Identity.Index, false); err != nil {
		return err
	}
	return change()
}
