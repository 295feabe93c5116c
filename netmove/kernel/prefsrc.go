package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// sourced is a route of the device's table, through other devices, that has an address of
// the device as its source (RTA_PREFSRC).
type sourced struct {
	message
	through []int // ifindexes
	via     []netip.Addr
	source  netip.Addr
}

// sourcedRoutes reads the routes of the device's table, of other devices, whose source is an
// address that goes with this one. Those of IPv4 are deleted with the address
// (fib_sync_down_addr), those of IPv6 stay, and are of no use meanwhile.
func (ns *Namespace) sourcedRoutes(dev netmove.Snapshot, own map[uint8][][]byte) ([]sourced, error) {
	table, local, err := ns.tablesOf(dev)
	if err != nil {
		return nil, err
	}
	var list []sourced
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		addrs := addressesOf(dev, family)
		if len(addrs) == 0 {
			continue
		}
		msgs, err := ns.routesOf(family, table)
		if err != nil {
			return nil, fmt.Errorf("routes of other devices: %w", classify(err))
		}
		for _, msg := range msgs {
			if !mentionsAny(msg, addrs) {
				continue // nearly all of them, and taking one apart costs more
			}
			s, err := parseSourced(msg)
			if err != nil {
				return nil, err
			}
			if slices.Contains(addrs, s.source) && !s.goesThrough(dev.Identity.Index, msg, own[family]) {
				list = append(list, s)
			}
		}
	}
	return ns.withoutShared(list, dev.Identity.Index, local)
}

// goesThrough reports whether the route is one through the device. By which devices one with
// a nexthop object goes, the kernel need not tell (nexthop_compat_mode).
func (s sourced) goesThrough(index int, dumped []byte, own [][]byte) bool {
	return slices.Contains(s.through, index) || slices.ContainsFunc(own, func(o []byte) bool { return bytes.Equal(o, dumped) })
}

// mentionsAny reports whether the bytes of one of the addresses are in the message.
func mentionsAny(msg []byte, addrs []netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return bytes.Contains(msg, a.AsSlice()) })
}

// addressesOf are the device's addresses of a family. The IPv6 ones of a VLAN go, too, when
// the device below it goes down.
func addressesOf(dev netmove.Snapshot, family uint8) []netip.Addr {
	var list []netip.Addr
	for _, a := range dev.Addresses {
		if a.IsIPv6() == (family == unix.AF_INET6) {
			list = append(list, a.Local.Addr())
		}
	}
	for _, u := range dev.Uppers {
		if family == unix.AF_INET6 {
			list = append(list, addressesOf(u, family)...)
		}
	}
	return list
}

// tablesOf are the tables with the device's routes and with those to its addresses: that of its
// VRF, if it is in one (l3mdev_fib_table).
func (ns *Namespace) tablesOf(dev netmove.Snapshot) (table, local uint32, err error) {
	if dev.Master.Kind != "vrf" {
		return unix.RT_TABLE_MAIN, unix.RT_TABLE_LOCAL, nil
	}
	vrf, err := ns.linkByIndex(dev.Master.Index)
	if err != nil {
		return 0, 0, fmt.Errorf("VRF of %q: %w", dev.Name, err)
	}
	const vrfTable = 1 // IFLA_VRF_TABLE
	table = u32(vrf.value("vrf." + strconv.Itoa(vrfTable)))
	return table, table, nil
}

// routesOf dumps one table of routes, filtered by the kernel.
func (ns *Namespace) routesOf(family uint8, table uint32) ([][]byte, error) {
	msg := message{fixed: make([]byte, unix.SizeofRtMsg)}
	msg.fixed[0] = family
	msg.add(unix.RTA_TABLE, nl.Uint32Attr(table))
	msgs, err := ns.dumpOf(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, msg.bytes())
	if is(err, unix.ENOENT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP) {
		return nil, nil // no such table, or a kernel without IPv6
	}
	return msgs, err
}

func parseSourced(dumped []byte) (s sourced, err error) {
	if s.message, err = parseMessage(dumped, unix.SizeofRtMsg); err != nil {
		return s, err
	}
	for _, a := range s.attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_PREFSRC:
			s.source, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_OIF:
			s.through = append(s.through, int(u32(a.Value)))
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			s.via = append(s.via, nextHop(a.Attr.Type, a.Value))
		case unix.RTA_MULTIPATH:
			err = eachLeg(a.Value, func(hop leg) {
				s.through, s.via = append(s.through, hop.index()), append(s.via, hop.via()...)
			})
		}
	}
	return s, err
}

// withoutShared drops the routes whose source is an address of another device as well: the
// kernel deletes nothing as long as it is an address of the namespace.
func (ns *Namespace) withoutShared(list []sourced, index int, local uint32) ([]sourced, error) {
	elsewhere := map[netip.Addr]bool{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if !slices.ContainsFunc(list, func(s sourced) bool { return s.fixed[0] == family }) {
			continue
		}
		msgs, err := ns.routesOf(family, local)
		if err != nil {
			return nil, fmt.Errorf("local routes: %w", classify(err))
		}
		for _, m := range msgs {
			msg, err := parseMessage(m, unix.SizeofRtMsg)
			if err != nil {
				return nil, err
			}
			rt := nl.DeserializeRtMsg(msg.fixed)
			if dst := destination(rt, msg.attribute(unix.RTA_DST)); rt.Type == unix.RTN_LOCAL && dst.IsSingleIP() &&
				u32(msg.attribute(unix.RTA_OIF)) != uint32(index) {
				elsewhere[dst.Addr()] = true
			}
		}
	}
	return slices.DeleteFunc(list, func(s sourced) bool { return elsewhere[s.source] }), nil
}

// readOthersRoutes fills in which routes of other devices go with the device's addresses. It
// tells of those, and of those that go with a leg, in words.
func (ns *Namespace) readOthersRoutes(l *link, dev netmove.Snapshot, own map[uint8][][]byte) (lost []string, err error) {
	list, err := ns.sourcedRoutes(dev, own)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		r, err := ns.othersRoute(s)
		if errors.Is(err, netmove.ErrNotFound) {
			continue // its device is gone, and so is the route
		}
		if err != nil {
			return nil, err
		}
		lost = append(lost, fmt.Sprintf("%s has its address %s as source", r.Text, s.source))
		if r.Message != nil {
			l.Taken = append(l.Taken, r.OthersRoute)
		}
	}
	onLinkFirst := func(a, b netmove.OthersRoute) int { return min(len(a.Route.Via), 1) - min(len(b.Route.Via), 1) }
	slices.SortStableFunc(l.Taken, onLinkFirst)
	split, err := splitRoutes(l.Identity.Index, own[unix.AF_INET])
	return append(lost, split...), err
}

// namedRoute is a route with the names of the devices that carry it.
type namedRoute struct {
	netmove.OthersRoute
	names []string
}

// othersRoute describes the route. It has a message only if it has to be put back: one of
// IPv6 stays, and a program makes its own again.
func (ns *Namespace) othersRoute(s sourced) (r namedRoute, err error) {
	var static bool
	var first int
	if len(s.through) > 0 {
		first = s.through[0]
	}
	if r.Entry, static, err = ns.routeEntry(s.bytes(), unix.AF_INET, first); err != nil || !static {
		r.Entry = netmove.Entry{}
	}
	r.Text = destination(nl.DeserializeRtMsg(s.fixed), s.attribute(unix.RTA_DST)).String()
	for _, index := range s.through {
		dev, err := ns.linkByIndex(index)
		if err == nil {
			err = ns.identify(&dev)
		}
		if err != nil {
			return r, err
		}
		r.Through, r.names = append(r.Through, dev.Identity), append(r.names, dev.Name)
	}
	if len(r.names) > 0 {
		r.Text += " dev " + strings.Join(r.names, " dev ")
	}
	return r, err
}

// splitRoutes tells of the routes through the device that the kernel deletes whole though
// they have other legs: those of IPv4 (fib_sync_down_dev).
func splitRoutes(index int, own [][]byte) ([]string, error) {
	var list []string
	for _, dumped := range own {
		s, err := parseSourced(dumped)
		if err != nil {
			return nil, err
		}
		other := func(leg int) bool { return leg != index }
		if s.attribute(rtaNHID) == nil && slices.ContainsFunc(s.through, other) {
			dst := destination(nl.DeserializeRtMsg(s.fixed), s.attribute(unix.RTA_DST))
			list = append(list, fmt.Sprintf("%s goes through other devices as well", dst))
		}
	}
	return list, nil
}
