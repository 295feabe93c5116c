package netmovetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// AddUpper makes a device that is built on another one, which is in on.
func (ns *Namespace) AddUpper(on *Namespace, index int, d netmove.Snapshot) netmove.Snapshot {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	d = ns.add(netmove.Device{Snapshot: d})
	ns.world.below[d.Identity.Inode] = on.devices[index].Identity.Inode
	return d
}

// Tell has Facts tell that of a device.
func (ns *Namespace) Tell(index int, f netmove.Facts) {
	ns.locked(func() { ns.world.facts[ns.devices[index].Identity.Inode] = f })
}

// Knows gives another namespace an id in this one.
func (ns *Namespace) Knows(other *Namespace) {
	ns.locked(func() { ns.nested = append(ns.nested, other) })
}

// Nest moves a device to a new namespace without a path or a process, which
// somebody has a descriptor of until Release.
func (ns *Namespace) Nest(index int) *Namespace {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	nested := ns.world.newNamespace()
	nested.held = true
	ns.nested = append(ns.nested, nested)
	ns.transfer(ns.devices[index], nested, 0)
	return nested
}

// Enter puts a process into the namespace.
func (ns *Namespace) Enter() { ns.locked(func() { ns.occupied = true }) }

// Share has the host know a nested namespace.
func (ns *Namespace) Share() { ns.locked(func() { ns.shared = true }) }

// Release closes the descriptor of Nest's.
func (ns *Namespace) Release() {
	ns.locked(func() {
		ns.held = false
		ns.world.reap(ns)
	})
}

func (ns *Namespace) locked(f func()) {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	f()
}

// Uppers reads the devices that are built on the device.
func (ns *Namespace) Uppers(dev netmove.Snapshot) (list []netmove.Snapshot, err error) {
	err = ns.about(dev.Identity.Index, func(d *netmove.Snapshot) error {
		for _, u := range ns.on(d.Identity.Inode) {
			list = append(list, ns.link(u))
		}
		return nil
	})
	return list, err
}

// on is what of all devices is built on the device.
func (w *World) on(d *netmove.Snapshot) (list []*netmove.Snapshot) {
	for _, ns := range w.namespaces {
		list = append(list, ns.on(d.Identity.Inode)...)
	}
	return list
}

// below is the ifindex of the device that one is built on, if that is in the namespace.
func (ns *Namespace) below(d *netmove.Snapshot) int {
	for index, lower := range ns.devices {
		if lower.Identity.Inode == ns.world.below[d.Identity.Inode] {
			return index
		}
	}
	return 0
}

// raise sets a device up or down, and VLANs on it, too (vlan_device_event). Down
// costs IPv6 addresses, and a VLAN its routes.
func (w *World) raise(d *netmove.Snapshot, up bool) {
	if d.Flags.Up == up {
		return
	}
	d.Flags.Up = up
	if up && w.forgetful {
		d.Identity.PermMAC = d.MAC
	}
	if !up {
		d.Addresses = slices.DeleteFunc(slices.Clone(d.Addresses), netmove.Address.IsIPv6)
	}
	for _, u := range w.on(d) {
		if u.Identity.Kind == "vlan" {
			w.raise(u, up)
			u.Entries = nil
		}
	}
}

// on is what of the namespace's devices is built on the one with that inode.
func (ns *Namespace) on(inode uint64) (list []*netmove.Snapshot) {
	for _, index := range slices.Sorted(maps.Keys(ns.devices)) {
		if d := ns.devices[index]; ns.world.below[d.Identity.Inode] == inode {
			list = append(list, d)
		}
	}
	return list
}

// Delete deletes a device.
func (ns *Namespace) Delete(index int) error {
	return ns.set(index, func(*netmove.Snapshot) { delete(ns.devices, index) })
}

// Stacked finds the devices built on one of below's.
func (ns *Namespace) Stacked(below netmove.Namespace, index int) (list []netmove.Upper, err error) {
	err = ns.world.do(func() error {
		d := below.(*Namespace).devices[index]
		if d == nil {
			return nil
		}
		for nsid := netmove.Here; nsid < len(ns.nested); nsid++ {
			where := ns.within(nsid)
			for _, u := range where.on(d.Identity.Inode) {
				list = append(list, ns.upper(where, nsid, u))
			}
		}
		return nil
	})
	return list, err
}

// within is the namespace with that id.
func (ns *Namespace) within(nsid int) *Namespace {
	if nsid == netmove.Here {
		return ns
	}
	return ns.nested[nsid]
}

func (ns *Namespace) upper(where *Namespace, nsid int, d *netmove.Snapshot) netmove.Upper {
	u := netmove.Upper{Snapshot: where.copyOf(d), Nsid: nsid, Shared: where.shared}
	if nsid != netmove.Here && !where.occupied {
		u.Identity.Inode = 0
		return u
	}
	u.Elder = d.Identity.Inode < ns.devices[netmove.LoopbackIndex].Identity.Inode
	return u
}

// Unstack deletes a device.
func (ns *Namespace) Unstack(u netmove.Upper) error {
	return ns.within(u.Nsid).Delete(u.Identity.Index)
}

// Burdened lists the devices of the namespace that are up and have a program on
// them, or a device that is built on them, wherever that is.
func (ns *Namespace) Burdened() (list []string) {
	ns.locked(func() {
		for _, d := range ns.devices {
			if b := ns.world.burden(d); d.Flags.Up && b != "" {
				list = append(list, b)
			}
		}
	})
	return list
}

// burden prints what is on a device.
func (w *World) burden(d *netmove.Snapshot) string {
	var b strings.Builder
	// In the kernel the order is one of the programs of a hook.
	for _, p := range slices.SortedStableFunc(slices.Values(d.Programs), func(p, q netmove.Program) int { return cmp.Compare(p.Hook, q.Hook) }) {
		fmt.Fprintf(&b, "  %s has the %s\n", d.Name, p)
	}
	for _, ns := range w.all {
		for _, u := range ns.on(d.Identity.Inode) {
			fmt.Fprintf(&b, "  %s has %s on it\n", d.Name, u.Name)
		}
	}
	return b.String()
}
