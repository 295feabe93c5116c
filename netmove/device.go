package netmove

import (
	"errors"
	"fmt"
)

// Device is a device of the host as it was read, and what decides whether it may go.
type Device struct {
	Snapshot
	Facts
}

// Facts are what decides whether a device may move. They are of no use after that, so the
// journal does not keep them.
type Facts struct {
	Role Role
	Loss []Loss // what a move loses, or what does not work while the device is away

	Rules []Entry // the host's policy rules that select by an address of the device

	Lower Lower // the device that it is built on

	// TSOMaxSize is the most that the device segments, in bytes (IFLA_TSO_MAX_SIZE, Linux
	// 5.19); 0: not told.
	TSOMaxSize int

	// Features are the offload features by the names that ethtool(8) -k shows. They are
	// read only for a request that names some.
	Features map[string]Feature
}

// Role is what a device does for the node it is on.
type Role struct {
	// Uplink is the default route that the node's own traffic takes, if that needs the
	// device.
	Uplink Uplink

	// Backup is a default route of worse metric, if that needs the device.
	Backup Uplink

	// PortOf names the bridge, bond or other master the device is a port of.
	PortOf string

	// ForeignPeer is set for a veth (netkit, vxcan) whose other end is in another
	// namespace.
	ForeignPeer bool

	// Loopback is set for a namespace's lo (IFF_LOOPBACK).
	Loopback bool

	// Immovable is set for kinds that the kernel binds to their namespace
	// (netns-immutable): bridge, bond, vrf, team and others.
	Immovable bool
}

// Read reads the device of the host that has name as its name or as an altname: all of it that
// can be read without anybody noticing, the devices that are built on it, and the facts. Error:
// ErrNotFound.
func Read(host Namespace, name string) (Device, error) {
	devices, errs := ReadEach(host, name)
	return devices[0], errs[0]
}

// ReadEach is Read for several devices, of which any may fail. What is not one device's alone
// is gone through once.
func ReadEach(host Namespace, names ...string) (devices []Device, errs []error) {
	devices, errs = make([]Device, len(names)), make([]error, len(names))
	var there []Snapshot
	for i, name := range names {
		dev, err := host.ByName(name)
		if err == nil {
			err = complete(host, &dev)
		}
		if errs[i] = err; err == nil {
			devices[i].Snapshot, there = dev, append(there, dev)
		}
	}
	survey := host.Survey(there...)
	for i := range devices {
		if errs[i] == nil {
			devices[i].Facts, errs[i] = survey.Facts(&devices[i].Snapshot)
		}
	}
	return devices, errs
}

// ReadAll reads every device of the host, by name. Of those for which mayGo is false it reads
// what they are, their addresses and their Role, since a node may have thousands. One that goes
// away meanwhile is left out.
func ReadAll(host Namespace, mayGo func(Snapshot) bool) ([]Device, error) {
	links, err := host.List()
	if err != nil {
		return nil, err
	}
	links, err = those(links, func(dev Snapshot) (Snapshot, error) {
		read := sketch
		if mayGo(dev) {
			read = complete
		}
		err := read(host, &dev)
		return dev, err
	})
	if err != nil {
		return nil, err
	}
	survey := host.Survey(links...)
	return those(links, func(dev Snapshot) (one Device, err error) {
		if dev.Parts.Has(quietParts) {
			one.Facts, err = survey.Facts(&dev)
		} else {
			one.Role, err = survey.Role(&dev)
		}
		one.Snapshot = dev
		return one, err
	})
}

// those reads the devices, and leaves out what is not there any more.
func those[T any](devices []Snapshot, read func(Snapshot) (T, error)) (there []T, err error) {
	for _, dev := range devices {
		one, err := read(dev)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", dev.Name, err)
		}
		there = append(there, one)
	}
	return there, nil
}

// complete reads the rest of a snapshot.
func complete(host Namespace, dev *Snapshot) (err error) {
	if err := host.Fill(dev, quietParts); err != nil {
		return err
	}
	if err := fillUppers(host, dev, upperParts); err != nil {
		return err
	}
	// What cannot be seen does not forbid the attach: it is the host's own.
	if dev.Programs, err = host.Programs(*dev); errors.Is(err, ErrUnseen) {
		return nil
	}
	return err
}

// sketch reads of a snapshot what its Role depends on.
func sketch(host Namespace, dev *Snapshot) error {
	if err := host.Fill(dev, PartAddresses); err != nil {
		return err
	}
	return fillUppers(host, dev, PartAddresses)
}

// fillUppers reads those parts of the devices that are built on one, and on those. One that
// goes away meanwhile is left out.
func fillUppers(host Namespace, dev *Snapshot, parts Parts) error {
	list, err := host.Uppers(*dev)
	if err != nil {
		return err
	}
	dev.Uppers = nil
	for _, u := range list {
		if err = host.Fill(&u, parts); err == nil {
			err = fillUppers(host, &u, parts)
		}
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%q, which is built on it: %w", u.Name, err)
		}
		dev.Uppers = append(dev.Uppers, u)
	}
	return nil
}
