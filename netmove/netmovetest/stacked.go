package netmovetest

import (
	"errors"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// AddUpper makes a device that is built on another one.
func (ns *Namespace) AddUpper(on int, d netmove.Snapshot) netmove.Snapshot {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	d = ns.add(d)
	if ns.uppers == nil {
		ns.uppers = map[uint64][]int{}
	}
	inode := ns.devices[on].Identity.Inode
	ns.uppers[inode] = append(ns.uppers[inode], d.Identity.Index)
	return d
}

// AttachXDP puts a program on a device.
func (ns *Namespace) AttachXDP(index int, x netmove.XDP) {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	ns.devices[index].XDP = x
}

// HoldXDP makes the programs of a device ones that cannot be detached, or can
// again.
func (w *World) HoldXDP(inode uint64, hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = map[uint64]bool{}
	}
	w.held[inode] = hold
}

// Uppers reads the devices that are built on the device.
func (ns *Namespace) Uppers(index int) (list []netmove.Snapshot, err error) {
	err = ns.change(index, func(d *netmove.Snapshot) error {
		for _, i := range ns.uppers[d.Identity.Inode] {
			if upper := ns.devices[i]; upper != nil {
				list = append(list, ns.copyOf(upper))
			}
		}
		return nil
	})
	return list, err
}

// Delete deletes a device.
func (ns *Namespace) Delete(index int) error {
	return ns.set(index, func(*netmove.Snapshot) { delete(ns.devices, index) })
}

// DetachXDP detaches programs, unless they are held.
func (ns *Namespace) DetachXDP(index int, modes netmove.XDP) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		if ns.world.held[d.Identity.Inode] {
			return errors.New("the program is held")
		}
		if modes.Generic != 0 {
			d.XDP.Generic = 0
		}
		if modes.Driver != 0 {
			d.XDP.Driver = 0
		}
		if modes.Hardware != 0 {
			d.XDP.Hardware = 0
		}
		return nil
	})
}
