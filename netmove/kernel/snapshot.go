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
	dir, err := ns.identify(&l)
	if err != nil {
		return netmove.Snapshot{}, err
	}
	defer dir.Close()
	if l.Addresses, err = ns.Addresses(l.Identity.Index); err != nil {
		return netmove.Snapshot{}, err
	}
	l.TakenAt = Linux{}.Now()
	if l.Loss, err = ns.loss(l.Identity.Index); err != nil {
		return netmove.Snapshot{}, err
	}
	if err := ns.readRole(&l, dir); err != nil {
		return netmove.Snapshot{}, err
	}
	return l.Snapshot, nil
}

// Locate finds the device with that identity.
func (ns *Namespace) Locate(id netmove.Identity, index int) (netmove.Snapshot, error) {
	if index > 0 {
		l, err := ns.linkByIndex(index)
		if err == nil {
			var found bool
			if found, err = ns.matches(&l, id); found {
				return l.Snapshot, nil
			}
		}
		if err != nil && !errors.Is(err, netmove.ErrNotFound) {
			return netmove.Snapshot{}, err
		}
	}
	return ns.search(id)
}

// search looks for the device more than once before it says that there is
// none: a program that renames devices can hide one from a single look, and a
// device that is taken for lost is not looked for any more.
func (ns *Namespace) search(id netmove.Identity) (netmove.Snapshot, error) {
	const looks = 3
	var l netmove.Snapshot
	err := netmove.ErrNotFound
	for range looks {
		if l, err = ns.look(id); !errors.Is(err, netmove.ErrNotFound) {
			break
		}
	}
	return l, err
}

// look goes through the namespace's devices by inode, or where the identity
// names hardware through the devices of that.
func (ns *Namespace) look(id netmove.Identity) (netmove.Snapshot, error) {
	folder := allDevices
	if id.Parent != "" && id.Bus != "" {
		folder = devicesOf(id.Bus, id.Parent)
	}
	names, err := ns.sysfs.names(folder)
	if err != nil {
		return netmove.Snapshot{}, err
	}
	for _, name := range names {
		if !ns.hasInode(name, id.Inode) {
			continue
		}
		l, err := ns.linkByName(name)
		if err != nil {
			return netmove.Snapshot{}, err
		}
		found, err := ns.matches(&l, id)
		if found || err != nil {
			return l.Snapshot, err
		}
	}
	return netmove.Snapshot{}, netmove.ErrNotFound
}

// hasInode reports whether the device with that name has that sysfs inode;
// a device that vanishes meanwhile does not have it.
func (ns *Namespace) hasInode(name string, want uint64) bool {
	dir, err := ns.sysfs.device(name)
	if err != nil {
		return false
	}
	defer dir.Close()
	got, err := inode(dir)
	return err == nil && got == want
}

func (ns *Namespace) matches(l *link, id netmove.Identity) (bool, error) {
	dir, err := ns.identify(l)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	return l.Identity.Same(id), nil
}

// identify fills in the identity that netlink does not tell, and returns the
// device's folder in sysfs.
func (ns *Namespace) identify(l *link) (_ *os.File, err error) {
	dir, err := ns.sysfs.device(l.Name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			dir.Close()
		}
	}()
	// The device was read by netlink and the folder found by name: between the
	// two the name may have gone to another device.
	index, err := ifindex(dir)
	if err != nil {
		return nil, err
	}
	if index != l.Identity.Index {
		return nil, fmt.Errorf("device %q was renamed while it was read: %w", l.Name, netmove.ErrNotFound)
	}
	if l.Identity.Inode, err = inode(dir); err != nil {
		return nil, err
	}
	l.Identity.Driver = driver(dir)
	l.Identity.Netns = ns.cookie
	return dir, nil
}

// NameTaken reports whether a device has name as its name or altname.
func (ns *Namespace) NameTaken(name string) (bool, error) {
	_, err := ns.linkByName(name)
	if errors.Is(err, netmove.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
