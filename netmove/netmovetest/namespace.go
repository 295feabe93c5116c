package netmovetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Namespace is a network namespace of a World.
type Namespace struct {
	world    *World
	nested   []*Namespace // those that it knows, by nsid
	cookie   uint64
	devices  map[int]*netmove.Snapshot
	rules    []netmove.Entry
	handles  int  // open ones
	occupied bool // by processes
	held     bool // by a descriptor of somebody's
	shared   bool // the host knows it
	dead     bool

	withoutIPv6 bool
}

var _ netmove.Namespace = (*Namespace)(nil)

// Add makes a device. Index and inode are the namespace's next ones.
func (ns *Namespace) Add(d netmove.Snapshot) netmove.Snapshot {
	return ns.AddDevice(netmove.Device{Snapshot: d})
}

// AddDevice makes a device about which there are facts.
func (ns *Namespace) AddDevice(d netmove.Device) netmove.Snapshot {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	return ns.add(d)
}

func (ns *Namespace) add(d netmove.Device) netmove.Snapshot {
	ns.world.inodes++
	d.Identity.Inode = ns.world.inodes
	d.Identity.Netns = ns.cookie
	d.Identity.Index = ns.freeIndex()
	ns.devices[d.Identity.Index] = &d.Snapshot
	ns.world.facts[d.Identity.Inode] = d.Facts
	return d.Snapshot
}

// Remove deletes a device, as its driver or "ip link del" does.
func (ns *Namespace) Remove(name string) {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	if d := ns.named(name); d != nil {
		delete(ns.devices, d.Identity.Index)
		ns.world.announcer.tell()
	}
}

func (ns *Namespace) freeIndex() int {
	for i := 1; ; i++ {
		if ns.devices[i] == nil {
			return i
		}
	}
}

// named is the device that has name as its name or altname.
func (ns *Namespace) named(name string) *netmove.Snapshot {
	for _, d := range ns.devices {
		if d.Name == name || slices.Contains(d.Altnames, name) {
			return d
		}
	}
	return nil
}

func (ns *Namespace) copyOf(d *netmove.Snapshot) netmove.Snapshot {
	c := *d
	c.Altnames = slices.Clone(d.Altnames)
	c.Addresses = slices.Clone(d.Addresses)
	c.Programs = slices.Clone(d.Programs)
	c.Options, c.Entries, c.Sysctls = slices.Clone(d.Options), slices.Clone(d.Entries), maps.Clone(d.Sysctls)
	c.TakenAt = netmove.BootOffset(ns.world.now)
	return c
}

// Cookie identifies the namespace.
func (ns *Namespace) Cookie() uint64 { return ns.cookie }

// Inode is the cookie: no inode number is reused here.
func (ns *Namespace) Inode() uint64 { return ns.cookie }

// Leave takes all processes out of the namespace.
func (ns *Namespace) Leave() {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	ns.occupied = false
	for _, ended := range ns.world.watches[ns.cookie] {
		go ended()
	}
	delete(ns.world.watches, ns.cookie)
	ns.world.reap(ns)
}

// Close gives one handle back.
func (ns *Namespace) Close() error {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	ns.handles--
	ns.world.reap(ns)
	if ns.world.closeFails {
		return ErrInjected
	}
	return nil
}

// Move does what __dev_change_net_namespace and do_setlink do, in that order.
func (ns *Namespace) Move(index int, to netmove.Namespace, name string, newIndex int) error {
	ns.world.wait()
	return ns.about(index, func(d *netmove.Snapshot) error {
		target := to.(*Namespace)
		name := target.numbered(name)
		arrives := d.Name
		if target.named(d.Name) != nil {
			arrives = name
		}
		switch {
		case target.named(arrives) != nil:
			return fmt.Errorf("%w: in the target", netmove.ErrNameTaken)
		case slices.ContainsFunc(d.Altnames, func(alt string) bool { return target.named(alt) != nil }):
			return fmt.Errorf("%w: an altname", netmove.ErrNameTaken)
		case newIndex != 0 && target.devices[newIndex] != nil:
			return netmove.ErrIndexTaken
		}
		ns.transfer(d, target, newIndex)
		d.Name = arrives
		if other := target.named(name); other != nil && (other != d || d.Name != name) {
			return fmt.Errorf("%w: after the move", netmove.ErrNameTaken)
		}
		d.Name = name
		return nil
	})
}

// transfer moves the device, with what a move loses lost.
func (ns *Namespace) transfer(d *netmove.Snapshot, target *Namespace, newIndex int) {
	delete(ns.devices, d.Identity.Index)
	switch {
	case newIndex != 0:
		d.Identity.Index = newIndex
	case target.devices[d.Identity.Index] != nil:
		d.Identity.Index = target.freeIndex()
	}
	d.Identity.Netns = target.cookie
	ns.world.raise(d, false)
	d.Addresses, d.Master = nil, netmove.Identity{}
	leave(d)
	target.devices[d.Identity.Index] = d
}

// change runs one request that changes a device, which a kernel refuses that refuses all.
func (ns *Namespace) change(index int, f func(*netmove.Snapshot) error) error {
	return ns.about(index, func(d *netmove.Snapshot) error {
		if ns.world.refusing {
			return ErrRefused
		}
		return f(d)
	})
}

// about runs one request about a device.
func (ns *Namespace) about(index int, f func(*netmove.Snapshot) error) error {
	return ns.world.do(func() error {
		d := ns.devices[index]
		if d == nil {
			return fmt.Errorf("ifindex %d: %w", index, netmove.ErrNotFound)
		}
		return f(d)
	})
}

// Rename renames a device, up or not.
func (ns *Namespace) Rename(index int, name string) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		name = ns.numbered(name)
		if d.Name != name && ns.named(name) != nil {
			return netmove.ErrNameTaken
		}
		d.Name = name
		return nil
	})
}

// numbered is the first name that is free of those that "x%d" stands for.
func (ns *Namespace) numbered(name string) string {
	for i := 0; strings.HasSuffix(name, "%d"); i++ {
		if free := strings.TrimSuffix(name, "%d") + strconv.Itoa(i); ns.named(free) == nil {
			name = free
		}
	}
	return name
}

// AddAltname adds an altname.
func (ns *Namespace) AddAltname(index int, name string) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		if ns.named(name) != nil {
			return netmove.ErrNameTaken
		}
		d.Altnames = append(d.Altnames, name)
		return nil
	})
}

// DropAltname drops an altname.
func (ns *Namespace) DropAltname(index int, name string) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		i := slices.Index(d.Altnames, name)
		if i < 0 {
			return netmove.ErrNotFound
		}
		d.Altnames = slices.Delete(d.Altnames, i, i+1)
		return nil
	})
}

// SetMTU sets the MTU; IPv6 does not survive a small one.
func (ns *Namespace) SetMTU(index, mtu int) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		d.MTU = mtu
		for _, u := range ns.world.on(d) {
			u.MTU = min(u.MTU, mtu)
		}
		if mtu < 1280 {
			d.Addresses = slices.DeleteFunc(d.Addresses, netmove.Address.IsIPv6)
		}
		return nil
	})
}

// SetMAC sets the MAC.
func (ns *Namespace) SetMAC(index int, mac netmove.MAC) error {
	return ns.change(index, func(d *netmove.Snapshot) error { return ns.driver(d, func() { d.MAC = mac }) })
}

// SetAlias sets the alias.
func (ns *Namespace) SetAlias(index int, alias string) error {
	return ns.set(index, func(d *netmove.Snapshot) { d.Alias = alias })
}

// SetTxQueueLen sets the queue length.
func (ns *Namespace) SetTxQueueLen(index, packets int) error {
	return ns.set(index, func(d *netmove.Snapshot) { d.TxQueueLen = packets })
}

// SetGroup sets the group.
func (ns *Namespace) SetGroup(index, group int) error {
	return ns.set(index, func(d *netmove.Snapshot) { d.Group = group })
}

// SetMaster sets the master.
func (ns *Namespace) SetMaster(index, master int) error {
	return ns.set(index, func(d *netmove.Snapshot) { d.Master = netmove.Identity{Index: master} })
}

// SetFlags sets every flag but Up.
func (ns *Namespace) SetFlags(index int, flags netmove.LinkFlags) error {
	return ns.set(index, func(d *netmove.Snapshot) {
		up := d.Flags.Up
		d.Flags = flags
		d.Flags.Up = up
	})
}

// SetUp sets the device up or down; down flushes IPv6.
func (ns *Namespace) SetUp(index int, up bool) error {
	return ns.set(index, func(d *netmove.Snapshot) {
		if d.Flags.Up && !up {
			ns.world.downs++
		}
		ns.world.raise(d, up)
	})
}

func (ns *Namespace) set(index int, f func(*netmove.Snapshot)) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		f(d)
		return nil
	})
}

// Renumber gives the devices the indexes they would have if they had been made
// one after the other, oldest first.
func (ns *Namespace) Renumber() {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	devices := slices.SortedFunc(maps.Values(ns.devices), func(a, b *netmove.Snapshot) int {
		return cmp.Compare(a.Identity.Inode, b.Identity.Inode)
	})
	clear(ns.devices)
	for _, d := range devices {
		d.Identity.Index = ns.freeIndex()
		ns.devices[d.Identity.Index] = d
	}
}
