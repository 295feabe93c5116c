package kernel

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ByName reads the device that has name as its name or as an altname.
func (ns *Namespace) ByName(name string) (dev netmove.Snapshot, err error) {
	err = undisturbed(func() error {
		l, err := ns.linkByName(name)
		if err == nil {
			err = ns.identify(&l)
		}
		dev = l.Snapshot
		return err
	})
	return dev, err
}

// Find finds the device with that identity. That a device is not there is
// final for whoever asks, so it is said only after looks that nobody disturbed.
func (ns *Namespace) Find(id netmove.Identity, index int) (netmove.Snapshot, error) {
	var l link
	err := undisturbed(func() (err error) {
		l, err = ns.locate(id, index)
		return err
	})
	return l.Snapshot, err
}

// Fill reads the device anew, and those parts of it.
func (ns *Namespace) Fill(dev *netmove.Snapshot, parts netmove.Parts) error {
	return undisturbed(func() error {
		l, err := ns.again(*dev)
		if err != nil {
			return err
		}
		if err := ns.fill(&l, *dev, parts); err != nil {
			return ns.notGone(l, err)
		}
		*dev = l.Snapshot
		return nil
	})
}

// again reads a device that was read before, or that is meant by its ifindex alone.
func (ns *Namespace) again(dev netmove.Snapshot) (link, error) {
	if dev.Identity.Inode == 0 {
		return ns.linkByIndex(dev.Identity.Index)
	}
	return ns.locate(dev.Identity, dev.Identity.Index)
}

// fill adds those parts to what netlink has told of the device, and the others as they were
// read before.
func (ns *Namespace) fill(l *link, before netmove.Snapshot, parts netmove.Parts) (err error) {
	l.Addresses, l.TakenAt, l.Entries, l.Sysctls = before.Addresses, before.TakenAt, before.Entries, before.Sysctls
	l.Uppers, l.Programs, l.Parts = before.Uppers, before.Programs, l.Parts|before.Parts|parts
	index := l.Identity.Index
	if err := ns.identifyMaster(l); err != nil {
		return err
	}
	if parts.Has(netmove.PartAddresses) {
		if l.Addresses, err = ns.Addresses(index); err != nil {
			return err
		}
		l.TakenAt = ns.kernel.Now()
	}
	if parts.Has(netmove.PartEntries) {
		if l.Entries, err = ns.entries(l); err != nil {
			return err
		}
	}
	if parts.Has(netmove.PartOptions) {
		if err := ns.addOptions(l); err != nil {
			return err
		}
	} else {
		l.Options = append(l.Options, otherOptions(before)...)
	}
	if parts.Has(netmove.PartSysctls) {
		l.Sysctls, err = ns.sysctls(*l)
	}
	return err
}

// otherOptions are those of the options that RTM_GETLINK does not tell.
func otherOptions(dev netmove.Snapshot) []netmove.Option {
	return slices.DeleteFunc(slices.Clone(dev.Options), func(o netmove.Option) bool {
		_, other := sourceOf(o.Name)
		return !other
	})
}

// addOptions reads the options that RTM_GETLINK does not tell. Some drivers do not tell theirs
// of a device that is down (ENODEV of phy_ethtool_get_link_ksettings, EINVAL, ENETDOWN), as one
// is that has come home: what they do not tell is put back.
func (ns *Namespace) addOptions(l *link) (err error) {
	l.Options, err = ns.moreOptions(l.Snapshot)
	if !l.Flags.Up {
		return nil
	}
	return err
}

// identifyMaster fills in what the device's master is.
func (ns *Namespace) identifyMaster(l *link) error {
	if l.Master.Index == 0 {
		return nil
	}
	id, err := ns.identityOf(l.Master.Index)
	if errors.Is(err, netmove.ErrNotFound) {
		return errRaced
	}
	if err != nil {
		return fmt.Errorf("master of %q: %w", l.Name, err)
	}
	l.Master = id
	return nil
}

// notGone strips ErrNotFound from an error about a part of a device that is still there:
// drivers answer ENODEV about settings in a reset, and a device that counts as gone is given
// up.
func (ns *Namespace) notGone(l link, err error) error {
	if !errors.Is(err, netmove.ErrNotFound) {
		return err
	}
	if _, lerr := ns.again(l.Snapshot); lerr != nil {
		return lerr
	}
	return fmt.Errorf("device %q: %v", l.Name, err) //nolint:errorlint // its meaning is what must not be told
}

// errRaced means that a device was renamed, or went away, while it was read.
var errRaced = errors.New("the device changed while it was read")

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
	if l.Identity.Bus == "virtio" {
		l.Identity.PCI = pciSlot(dir)
	}
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
