package kernel

import (
	"errors"
	"fmt"
	"os"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Snapshot reads the device that has name as its name or as an altname.
func (ns *Namespace) Snapshot(name string) (netmove.Snapshot, error) {
	l, err := ns.linkByName(name)
	if err != nil {
		return netmove.Snapshot{}, err
	}
	err = ns.snapshot(&l)
	return l.Snapshot, ns.notGone(l, err)
}

func (ns *Namespace) snapshot(l *link) error {
	dir, err := ns.identifyIn(l)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := ns.settings(l); err != nil {
		return err
	}
	if l.Uppers, err = ns.uppersWithState(*l, dir); err != nil {
		return err
	}
	// What cannot be seen does not forbid the attach: it is the host's own.
	if l.Programs, err = ns.programs(*l); err != nil && !errors.Is(err, netmove.ErrUnseen) {
		return err
	}
	if err := ns.readRole(l, dir); err != nil {
		return err
	}
	if l.Loss, err = ns.loss(l.Snapshot); err != nil {
		return err
	}
	l.Sysctls, err = ns.sysctls(*l)
	return err
}

// Look finds the device with that identity, and reads all of it but its uppers, programs
// and role.
func (ns *Namespace) Look(id netmove.Identity, index int) (netmove.Snapshot, error) {
	return ns.look(id, index, func(l *link) (err error) {
		if l.Snapshot, err = ns.withTables(l); err != nil {
			return err
		}
		return ns.lookAround(l)
	})
}

// LookArrived reads all of that but addresses and entries.
func (ns *Namespace) LookArrived(id netmove.Identity, index int) (netmove.Snapshot, error) {
	return ns.look(id, index, ns.lookAround)
}

// LookAgain reads all of that but sysctls.
func (ns *Namespace) LookAgain(dev netmove.Snapshot) (netmove.Snapshot, error) {
	return ns.look(dev.Identity, dev.Identity.Index, func(l *link) (err error) {
		l.Sysctls = dev.Sysctls
		if l.Snapshot, err = ns.withTables(l); err != nil {
			return err
		}
		return ns.optionsAtHome(l)
	})
}

// look finds the device, and reads of it what the function does.
func (ns *Namespace) look(id netmove.Identity, index int, read func(*link) error) (netmove.Snapshot, error) {
	var l link
	err := undisturbed(func() (err error) {
		l, err = ns.locate(id, index)
		return err
	})
	if err != nil {
		return netmove.Snapshot{}, err
	}
	err = read(&l)
	return l.Snapshot, ns.notGone(l, err)
}

// lookAround reads what is no entry of a table.
func (ns *Namespace) lookAround(l *link) (err error) {
	if err = ns.optionsAtHome(l); err == nil {
		l.Sysctls, err = ns.sysctls(*l)
	}
	return err
}

// optionsAtHome reads the options of a device that is home. Some drivers do not tell theirs
// while it is down (ENODEV of phy_ethtool_get_link_ksettings, EINVAL, ENETDOWN), and it is
// down until it is restored: what they do not tell is put back.
func (ns *Namespace) optionsAtHome(l *link) (err error) {
	l.Options, err = ns.moreOptions(l.Snapshot)
	if !l.Flags.Up {
		return nil
	}
	return err
}

// notGone takes the meaning of a device that is not there from an error about a part of one
// that is: drivers answer ENODEV about settings in a reset, and a device that counts as gone
// is given up.
func (ns *Namespace) notGone(l link, err error) error {
	if !errors.Is(err, netmove.ErrNotFound) {
		return err
	}
	if _, lerr := ns.Locate(l.Identity, l.Identity.Index); lerr != nil {
		return lerr
	}
	return fmt.Errorf("device %q: %v", l.Name, err) //nolint:errorlint // its meaning is what must not be told
}

// settings reads of a device what RTM_GETLINK does not tell, but sysctls.
func (ns *Namespace) settings(l *link) (err error) {
	if l.Snapshot, err = ns.withTables(l); err != nil {
		return err
	}
	l.Options, err = ns.moreOptions(l.Snapshot)
	return err
}

// withTables reads the device's addresses and entries.
func (ns *Namespace) withTables(l *link) (_ netmove.Snapshot, err error) {
	dev := l.Snapshot
	if dev.Addresses, err = ns.Addresses(dev.Identity.Index); err != nil {
		return dev, err
	}
	dev.TakenAt = ns.kernel.Now()
	dev.Entries, err = ns.entries(l)
	return dev, err
}

// errRaced means that a device was renamed, or went away, while it was read.
var errRaced = errors.New("the device changed while it was read")

// Locate finds the device with that identity. That a device is not there is
// final for whoever asks, so it is said only after looks that nobody disturbed.
func (ns *Namespace) Locate(id netmove.Identity, index int) (netmove.Snapshot, error) {
	var l link
	err := undisturbed(func() (err error) {
		l, err = ns.locate(id, index)
		return err
	})
	return l.Snapshot, err
}

// undisturbed repeats a look that met a race.
func undisturbed(look func() error) (err error) {
	const looks = 50
	for range looks {
		if err = look(); !errors.Is(err, errRaced) {
			break
		}
	}
	return err
}

// identityOf reads the identity of the device with that ifindex.
func (ns *Namespace) identityOf(index int) (netmove.Identity, error) {
	var l link
	err := undisturbed(func() (err error) {
		if l, err = ns.linkByIndex(index); err == nil {
			err = ns.identify(&l)
		}
		return err
	})
	return l.Identity, err
}

func (ns *Namespace) locate(id netmove.Identity, index int) (link, error) {
	if index > 0 {
		l, err := ns.linkByIndex(index)
		if err == nil {
			err = ns.identify(&l)
		}
		if err == nil && l.Identity.Same(id) {
			return l, nil
		}
		if err != nil && !errors.Is(err, netmove.ErrNotFound) {
			return link{}, err
		}
	}
	return ns.search(id)
}

// search goes through the namespace's devices by inode, or where the identity
// names hardware through the devices of that.
func (ns *Namespace) search(id netmove.Identity) (link, error) {
	folder := allDevices
	if id.Parent != "" && id.Bus != "" {
		folder = devicesOf(id.Bus, id.Parent)
	}
	names, err := ns.sysfs.names(folder)
	if err != nil {
		return link{}, err
	}
	for _, name := range names {
		found, err := ns.hasInode(name, id.Inode)
		if err != nil {
			return link{}, err
		}
		if !found {
			continue
		}
		l, err := ns.linkByName(name)
		if errors.Is(err, netmove.ErrNotFound) {
			err = errRaced
		}
		if err == nil {
			err = ns.identify(&l)
		}
		if err == nil && !l.Identity.Same(id) {
			err = errRaced
		}
		return l, err
	}
	return link{}, netmove.ErrNotFound
}

// hasInode reports whether the device with that name has that sysfs inode. A
// listed device that is not there any more may be the one, renamed.
func (ns *Namespace) hasInode(name string, want uint64) (bool, error) {
	dir, err := ns.sysfs.device(name)
	if errors.Is(err, netmove.ErrNotFound) {
		return false, errRaced
	}
	if errors.Is(err, errNoDevice) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	got, err := inode(dir)
	return err == nil && got == want, err
}

// identify fills in the identity that netlink does not tell.
func (ns *Namespace) identify(l *link) error {
	dir, err := ns.identifyIn(l)
	if err != nil {
		return err
	}
	return dir.Close()
}

// identifyIn does that and returns the device's folder in sysfs.
func (ns *Namespace) identifyIn(l *link) (_ *os.File, err error) {
	dir, err := ns.sysfs.device(l.Name)
	if errors.Is(err, netmove.ErrNotFound) {
		return nil, errRaced
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Close())
		}
	}()
	// The device was read by netlink and the folder found by name: between the
	// two the name may have gone to another device.
	index, err := ifindex(dir)
	if err != nil {
		return nil, err
	}
	if index != l.Identity.Index {
		return nil, errRaced
	}
	if l.Identity.Inode, err = inode(dir); err != nil {
		return nil, err
	}
	l.Identity.Driver = driver(dir)
	l.Identity.Netns = ns.cookie
	return dir, nil
}

// LinkAt reads the device with that ifindex.
func (ns *Namespace) LinkAt(index int) (netmove.Snapshot, error) {
	l, err := ns.linkByIndex(index)
	return l.Snapshot, err
}

// Link reads the device that has name as its name or as an altname, without
// addresses and role.
func (ns *Namespace) Link(name string) (netmove.Snapshot, error) {
	l, err := ns.linkByName(name)
	if err == nil {
		err = ns.identify(&l)
	}
	return l.Snapshot, err
}

// NameTaken reports whether a device has name as its name or altname.
func (ns *Namespace) NameTaken(name string) (bool, error) {
	_, err := ns.linkByName(name)
	if errors.Is(err, netmove.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
