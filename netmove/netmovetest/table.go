package netmovetest

import (
	"fmt"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// PutAddress adds or changes an address. As in the kernel, a new IPv4 address
// goes last and a new IPv6 address first.
func (ns *Namespace) PutAddress(index int, a netmove.Address) error {
	return ns.set(index, func(d *netmove.Snapshot) {
		if a.Valid == netmove.Forever {
			a.Flags |= netmove.FlagPermanent
		}
		if a.Label == "" && !a.IsIPv6() {
			a.Label = netmove.Text(d.Name)
		}
		i := slices.IndexFunc(d.Addresses, func(b netmove.Address) bool { return a.Local == b.Local && a.Peer == b.Peer })
		if i >= 0 {
			d.Addresses[i] = a
			return
		}
		// IPv4 addresses stand before IPv6 ones: the place is the same.
		i = slices.IndexFunc(d.Addresses, netmove.Address.IsIPv6)
		if i < 0 {
			i = len(d.Addresses)
		}
		d.Addresses = slices.Insert(d.Addresses, i, a)
	})
}

// DropAddress drops an address.
func (ns *Namespace) DropAddress(index int, a netmove.Address) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		i := slices.IndexFunc(d.Addresses, func(b netmove.Address) bool { return a.Local == b.Local && a.Peer == b.Peer })
		if i < 0 {
			return netmove.ErrNotFound
		}
		d.Addresses = slices.Delete(d.Addresses, i, i+1)
		return nil
	})
}

// PutEntry makes an entry.
func (ns *Namespace) PutEntry(index int, e netmove.Entry) error {
	if e.Table == netmove.TableRule {
		return ns.putRule(e)
	}
	return ns.setting(index, func(d *netmove.Snapshot) error {
		if slices.ContainsFunc(d.Entries, e.Same) {
			return netmove.ErrExists
		}
		d.Entries = append(d.Entries, e)
		return nil
	})
}

// DropEntry removes an entry.
func (ns *Namespace) DropEntry(index int, e netmove.Entry) error {
	if e.Table == netmove.TableRule {
		return ns.dropRule(e)
	}
	return ns.set(index, func(d *netmove.Snapshot) { d.Entries = slices.DeleteFunc(slices.Clone(d.Entries), e.Same) })
}

// Listen has a device listen to a group.
func (ns *Namespace) Listen(index int, group netmove.Entry) {
	ns.locked(func() {
		inode := ns.devices[index].Identity.Inode
		ns.world.groups[inode] = append(ns.world.groups[inode], group)
	})
}

// Groups are those that it listens to, and the addresses that were put on it.
func (ns *Namespace) Groups(index int) (list []netmove.Entry, err error) {
	err = ns.about(index, func(d *netmove.Snapshot) error {
		list = slices.Clone(ns.world.groups[d.Identity.Inode])
		for _, e := range d.Entries {
			if e.Table == netmove.TableFDB {
				list = append(list, e)
			}
		}
		return nil
	})
	return list, err
}

// AddRoute makes a route.
func (ns *Namespace) AddRoute(index int, r netmove.RouteRequest) error {
	return ns.PutEntry(index, entry(netmove.TableRoute, r))
}

// AddNeighbor makes a neighbor.
func (ns *Namespace) AddNeighbor(index int, n netmove.NeighborRequest) error {
	return ns.PutEntry(index, entry(netmove.TableNeighbor, n))
}

func entry(table netmove.Table, what fmt.Stringer) netmove.Entry {
	return netmove.Entry{Table: table, Text: what.String(), Message: []byte(what.String())}
}

// AddRule makes a rule of the namespace's.
func (ns *Namespace) AddRule(r netmove.RuleRequest) error {
	return ns.putRule(ruleEntry(r))
}

func ruleEntry(r netmove.RuleRequest) netmove.Entry {
	e := entry(netmove.TableRule, r)
	e.Rule = netmove.PolicyRule{Priority: r.Priority, Table: r.Table, From: r.From, To: r.To, Mark: r.FwMark, Suppress: -1}
	if e.Rule.Mark != 0 {
		e.Rule.Mask = ^uint32(0)
	}
	return e
}

func (ns *Namespace) putRule(e netmove.Entry) error {
	return ns.world.do(func() error {
		if slices.ContainsFunc(ns.rules, e.Same) {
			return netmove.ErrExists
		}
		ns.rules = append(ns.rules, e)
		return nil
	})
}

// Rules reads the namespace's rules.
func (ns *Namespace) Rules() (list []netmove.Entry, err error) {
	err = ns.world.do(func() error {
		list = slices.Clone(ns.rules)
		return nil
	})
	return list, err
}

// DropRule removes a rule.
func (ns *Namespace) DropRule(r netmove.RuleRequest) error {
	return ns.dropRule(ruleEntry(r))
}

func (ns *Namespace) dropRule(e netmove.Entry) error {
	return ns.world.do(func() error {
		if !slices.ContainsFunc(ns.rules, e.Same) {
			return netmove.ErrNotFound
		}
		ns.rules = slices.DeleteFunc(slices.Clone(ns.rules), e.Same)
		return nil
	})
}
