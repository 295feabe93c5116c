package kernel

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// others are the routes of a device's table, through other devices, that have an address of
// the device as their source (RTA_PREFSRC). Those of IPv4 are deleted with the address
// (fib_sync_down_addr), those of IPv6 stay, and are of no use meanwhile.
type others struct {
	kept  []sourced          // those that are put back, or told of one by one
	count map[netip.Addr]int // of all, by source
}

// sourced is one of them.
type sourced struct {
	message
	through []int // ifindexes
	via     []netip.Addr
	source  netip.Addr
}

// take takes in a dumped route with that source.
func (o *others) take(dumped []byte, source netip.Addr, st *stake) error {
	if st.carries(dumped) {
		return nil
	}
	o.count[source]++
	putBack := dumped[0] == unix.AF_INET && !madeByProgram(dumped[rtmProtocol])
	if o.count[source] > shownLosses && !putBack {
		return nil // a daemon may have a million
	}
	s, err := parseSourced(dumped)
	o.kept = append(o.kept, s)
	return err
}

// carries reports whether a dumped route is one through the device. By which devices one with
// a nexthop object goes, the kernel need not tell (nexthop_compat_mode).
func (st *stake) carries(dumped []byte) bool {
	if id := routeAttribute(dumped, rtaNHID); id != nil && st.own.nexthops[u32(id)] {
		return true
	}
	if oif := routeAttribute(dumped, unix.RTA_OIF); oif != nil {
		return int(u32(oif)) == st.index
	}
	return hasLeg(dumped, func(hop leg) bool { return hop.index() == st.index })
}

// loses reports whether a device loses its addresses of a family by the move: this one, and of
// IPv6 those that are built on it.
func (st *stake) loses(family uint8, index int) bool {
	return index == st.index || family == unix.AF_INET6 && slices.Contains(st.stack, index)
}

// add adds those of another table.
func (o *others) add(more others) {
	o.kept = append(o.kept, more.kept...)
	if o.count == nil {
		o.count = map[netip.Addr]int{}
	}
	maps.Copy(o.count, more.count) // no address is of two families
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
// kernel deletes nothing as long as it is an address of the namespace. It returns how many
// there are besides those that are kept.
func (ns *Namespace) withoutShared(st *stake) (list []sourced, more int, err error) {
	elsewhere := map[netip.Addr]bool{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if !slices.ContainsFunc(st.others.kept, func(s sourced) bool { return s.fixed[0] == family }) {
			continue
		}
		local := routeFilter{family: family, typ: unix.RTN_LOCAL, table: st.local}
		found, err := gatherRoutes(ns, local, func(found *[]netip.Addr, msg []byte) error {
			dst := prefixOf(msg)
			if _, asked := st.others.count[dst.Addr()]; asked && dst.IsSingleIP() && !st.loses(family, int(u32(routeAttribute(msg, unix.RTA_OIF)))) {
				*found = append(*found, dst.Addr())
			}
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("local routes: %w", classify(err))
		}
		for _, addr := range found {
			elsewhere[addr] = true
		}
	}
	for source, n := range st.others.count {
		if !elsewhere[source] {
			more += n
		}
	}
	list = slices.DeleteFunc(slices.Clone(st.others.kept), func(s sourced) bool { return elsewhere[s.source] })
	return list, more - len(list), nil
}

// readOthersRoutes fills in which routes of other devices go with the device's addresses. It
// tells of those in words.
func (ns *Namespace) readOthersRoutes(dev *netmove.Snapshot, st *stake) (lost told, err error) {
	list, more, err := ns.withoutShared(st)
	if err != nil {
		return lost, err
	}
	dev.OthersRoutes, lost.more = nil, more
	seen := carriers{}
	for _, s := range list {
		r, err := ns.othersRoute(s, seen)
		if errors.Is(err, netmove.ErrNotFound) {
			continue // its device is gone, and so is the route
		}
		if err != nil {
			return lost, err
		}
		lost.add(func() string { return fmt.Sprintf("%s has its address %s as source", r.Text, s.source) })
		if r.Message != nil {
			dev.OthersRoutes = append(dev.OthersRoutes, r.OthersRoute)
		}
	}
	onLinkFirst := func(a, b netmove.OthersRoute) int { return min(len(a.Route.Via), 1) - min(len(b.Route.Via), 1) }
	slices.SortStableFunc(dev.OthersRoutes, onLinkFirst)
	return lost, nil
}

// carriers are devices that carry such routes, by ifindex.
type carriers map[int]netmove.Snapshot

// of reads the device with that ifindex, once.
func (c carriers) of(ns *Namespace, index int) (netmove.Snapshot, error) {
	if dev, ok := c[index]; ok {
		return dev, nil
	}
	l, err := ns.linkByIndex(index)
	if err == nil {
		err = ns.identify(&l)
	}
	if err == nil {
		c[index] = l.Snapshot
	}
	return l.Snapshot, err
}

// namedRoute is a route with the names of the devices that carry it.
type namedRoute struct {
	netmove.OthersRoute
	names []string
}

// othersRoute describes the route. It has a message only if it has to be put back: one of
// IPv6 stays, and a program makes its own again.
func (ns *Namespace) othersRoute(s sourced, seen carriers) (r namedRoute, err error) {
	var static bool
	var first int
	if len(s.through) > 0 {
		first = s.through[0]
	}
	if r.Entry, static, err = ns.routeEntry(s.bytes(), unix.AF_INET, first); err != nil || !static {
		r.Entry = netmove.Entry{}
	}
	r.Text = prefixOf(s.bytes()).String()
	for _, index := range s.through {
		dev, err := seen.of(ns, index)
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
