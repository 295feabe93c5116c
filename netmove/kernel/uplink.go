package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// uplinks are the default routes that the node's own traffic takes or would take, and the
// devices that they need, by ifindex.
type uplinks struct {
	best         []netmove.DefaultRoute
	used, backup map[int]netmove.Uplink
}

// uplinks reads them.
func (ns *Namespace) uplinks(routing netmove.Routing) (u uplinks, err error) {
	best, worse := routing.Uplink()
	u = uplinks{best: best, used: map[int]netmove.Uplink{}, backup: map[int]netmove.Uplink{}}
	for _, of := range []struct {
		routes []netmove.DefaultRoute
		needed map[int]netmove.Uplink
	}{{best, u.used}, {worse, u.backup}} {
		for _, r := range of.routes {
			if err := ns.needed(r, of.needed); err != nil {
				return u, err
			}
		}
	}
	return u, nil
}

// needed adds the devices that the route needs: those it goes through, and what these are
// built on.
func (ns *Namespace) needed(r netmove.DefaultRoute, all map[int]netmove.Uplink) error {
	for _, index := range r.Through {
		l, err := ns.linkByIndex(index)
		if errors.Is(err, netmove.ErrNotFound) {
			continue // gone meanwhile, and the route through it
		}
		if err == nil {
			err = ns.neededBelow(l, netmove.Uplink{Route: r.String(), Device: l.Name}, all)
		}
		if err != nil {
			return fmt.Errorf("device of %s: %w", r, err)
		}
	}
	return nil
}

func (ns *Namespace) neededBelow(l link, why netmove.Uplink, all map[int]netmove.Uplink) error {
	have, seen := all[l.Identity.Index]
	if !seen || why.Device == l.Name && have.Device != l.Name {
		all[l.Identity.Index] = why
	}
	if seen {
		return nil
	}
	below, err := ns.below(l)
	if err != nil {
		return err
	}
	for _, lower := range below {
		if err := ns.neededBelow(lower, why, all); err != nil {
			return err
		}
	}
	return nil
}

// below reads the devices of the namespace that a device is built on: ports, lower devices, and
// the one that a tunnel is bound to, which sysfs does not show. The other end of a pair counts,
// and so does what that is a port of.
func (ns *Namespace) below(l link) (list []link, err error) {
	dir, err := ns.identifyIn(&l)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	names, err := adjacent(dir, "lower_")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		lower, err := ns.linkByName(name)
		if err != nil {
			return nil, renamed(err)
		}
		list = append(list, lower)
	}
	if index := l.standsOn(); index != 0 && !l.lowerForeign {
		lower, err := ns.linkByIndex(index)
		if err != nil {
			return nil, renamed(err)
		}
		list = append(list, lower)
	}
	if isPair(l.Identity.Kind) && l.lower != 0 && !l.lowerForeign {
		return ns.otherEnd(l.lower, list)
	}
	return list, nil
}

func (ns *Namespace) otherEnd(index int, list []link) ([]link, error) {
	end, err := ns.linkByIndex(index)
	if err != nil {
		return nil, renamed(err)
	}
	list = append(list, end)
	if end.Master.Index == 0 {
		return list, nil
	}
	master, err := ns.linkByIndex(end.Master.Index)
	if err != nil {
		return nil, renamed(err)
	}
	return append(list, master), nil
}

// renamed has a look done again at a device that does not have its name any more.
func renamed(err error) error {
	if errors.Is(err, netmove.ErrNotFound) {
		return errRaced
	}
	return err
}

// Routing reads what decides where the node's own traffic goes.
func (ns *Namespace) Routing() (netmove.Routing, error) {
	routes, err := ns.nodeRoutes(nil)
	if err != nil {
		return netmove.Routing{}, err
	}
	return routes.Routing, nil
}

// isDefaultRoute reports whether a dumped route is a default route.
func isDefaultRoute(msg []byte) bool {
	if msg[rtmType] != unix.RTN_UNICAST || u32(msg[rtmFlags:])&unix.RTM_F_CLONED != 0 {
		return false
	}
	return netmove.IsDefault(msg[0] == unix.AF_INET6, int(msg[1]))
}

// defaultRoute takes a default route apart.
func (ns *Namespace) defaultRoute(dumped []byte) (d netmove.DefaultRoute, err error) {
	s, err := parseSourced(dumped)
	if err != nil {
		return d, err
	}
	rt := nl.DeserializeRtMsg(s.fixed)
	d = netmove.DefaultRoute{
		To: destination(rt, s.attribute(unix.RTA_DST)), TOS: rt.Tos, Table: tableOf(dumped),
		Metric: u32(s.attribute(unix.RTA_PRIORITY)), Source: s.source, Through: s.through, Via: s.via,
	}
	if from, ok := netip.AddrFromSlice(s.attribute(unix.RTA_SRC)); ok {
		d.From = netip.PrefixFrom(from, int(rt.Src_len))
	}
	if id := s.attribute(rtaNHID); id != nil && len(d.Through) == 0 {
		// The kernel need not tell which devices these are (nexthop_compat_mode).
		carriers, err := ns.nexthopCarriers()
		if err != nil {
			return d, err
		}
		d.Through = carriers[u32(id)]
	}
	return d, nil
}

// role is what the routes make of a device with these addresses.
func (u uplinks) role(r *netmove.Role, index int, addrs []netip.Addr) {
	r.Uplink, r.Backup = u.used[index], u.backup[index]
	for _, d := range u.best {
		if r.Uplink.Route == "" && slices.Contains(addrs, d.Source) {
			r.Uplink = netmove.Uplink{Route: d.String(), Source: d.Source}
		}
	}
}
