package netmovetest

import (
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
