package kernel

import (
	"errors"
	"os"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Snapshot reads the device that has name as its name or as an altname.
func (ns *Namespace) Snapshot(name string) (netmove.Snapshot, error) {
	l, err := ns.linkByName(name)
	if err != nil {
		return netmove.Snapshot{}, err
	}
	dir, err := ns.identifyIn(&l)
	if err != nil {
		return netmove.Snapshot{}, err
	}
	defer dir.Close()
	if l.Snapshot, err = ns.State(l.Snapshot); err != nil {
		return netmove.Snapshot{}, err
	}
	if l.Uppers, err = ns.uppersWithState(l.Identity.Index); err != nil {
		return netmove.Snapshot{}, err
	}
	// What cannot be seen does not forbid the attach: it is the host's own.
	if l.Programs, err = ns.programs(l); err != nil && !errors.Is(err, netmove.ErrUnseen) {
		return netmove.Snapshot{}, err
	}
	if err := ns.readRole(&l, dir); err != nil {
		return netmove.Snapshot{}, err
	}
	l.Loss, err = ns.loss(l.Snapshot)
	return l.Snapshot, err
}

// State reads of a device what RTM_GETLINK does not tell.
func (ns *Namespace) State(dev netmove.Snapshot) (netmove.Snapshot, error) {
	dev, err := ns.withTables(dev)
	if err != nil {
		return dev, err
	}
	if dev.Sysctls, err = ns.sysctls(dev.Name); err != nil {
		return dev, err
	}
	dev.Options, err = ns.moreOptions(dev)
	return dev, err
}

// withTables reads the device's addresses and entries.
func (ns *Namespace) withTables(dev netmove.Snapshot) (_ netmove.Snapshot, err error) {
	if dev.Addresses, err = ns.Addresses(dev.Identity.Index); err != nil {
		return dev, err
	}
	dev.TakenAt = Linux{}.Now()
	dev.Entries, err = ns.entries(dev)
	return dev, err
}

// errRaced means that a device was renamed, or went away, while it was read.
var errRaced = errors.New("the device changed while it was read")

// Locate finds the device with that identity. That a device is not there is
// final for whoever asks, so it is said only after looks that nobody disturbed.
func (ns *Namespace) Locate(id netmove.Identity, index int) (l netmove.Snapshot, err error) {
	err = undisturbed(func() error {
		l, err = ns.locate(id, index)
		return err
	})
	return l, err
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

func (ns *Namespace) locate(id netmove.Identity, index int) (netmove.Snapshot, error) {
	if index > 0 {
		l, err := ns.linkByIndex(index)
		if err == nil {
			err = ns.identify(&l)
		}
		if err == nil && l.Identity.Same(id) {
			return l.Snapshot, nil
		}
		if err != nil && !errors.Is(err, netmove.ErrNotFound) {
			return netmove.Snapshot{}, err
		}
	}
	return ns.search(id)
}

// search goes through the namespace's devices by inode, or where the identity
// names hardware through the devices of that.
func (ns *Namespace) search(id netmove.Identity) (netmove.Snapshot, error) {
	folder := allDevices
	if id.Parent != "" && id.Bus != "" {
		folder = devicesOf(id.Bus, id.Parent)
	}
	names, err := ns.sysfs.names(folder)
	if err != nil {
		return netmove.Snapshot{}, err
	}
	for _, name := range names {
		found, err := ns.hasInode(name, id.Inode)
		if err != nil {
			return netmove.Snapshot{}, err
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
		return l.Snapshot, err
	}
	return netmove.Snapshot{}, netmove.ErrNotFound
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
