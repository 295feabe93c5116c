package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Flags of a next hop that somebody sets; the others report a state.
const settableHopFlags = unix.RTNH_F_PERVASIVE | unix.RTNH_F_ONLINK

// What package unix lacks of linux/rtnetlink.h.
const rtaNHID = 30 // RTA_NH_ID

// routes reads the static routes through the device. Those that are on the
// link come first: the next hops of others are reached by them.
func (ns *Namespace) routes(dev *link) ([]netmove.Entry, error) {
	var onLink, others []netmove.Entry
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		through := routeFilter{family: family, index: dev.Identity.Index}
		list, err := gatherRoutes(ns, through, func(list *[]netmove.Entry, msg []byte) error {
			e, static, err := ns.routeEntry(msg, family, dev.Identity.Index)
			if static {
				*list = append(*list, e)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if len(e.Route.Via) == 0 {
				onLink = append(onLink, e)
			} else {
				others = append(others, e)
			}
		}
	}
	return append(onLink, others...), nil
}

// routeEntry makes an entry of a dumped route that is static.
func (ns *Namespace) routeEntry(dumped []byte, family uint8, index int) (_ netmove.Entry, static bool, err error) {
	if dumped[0] != family || madeByProgram(dumped[rtmProtocol]) || u32(dumped[rtmFlags:])&unix.RTM_F_CLONED != 0 {
		return netmove.Entry{}, false, nil
	}
	e, err := ns.entryOfRoute(dumped, index)
	return e, true, err
}

// entryOfRoute makes an entry of a dumped route, whoever made that.
func (ns *Namespace) entryOfRoute(dumped []byte, index int) (netmove.Entry, error) {
	msg, err := parseMessage(dumped, unix.SizeofRtMsg)
	if err != nil {
		return netmove.Entry{}, err
	}
	rt := nl.DeserializeRtMsg(msg.fixed)
	r := netmove.Route{Unicast: rt.Type == unix.RTN_UNICAST, Table: tableOf(dumped), OnLink: rt.Flags&unix.RTNH_F_ONLINK != 0}
	rt.Flags &= settableHopFlags
	left := timeLeft(msg.attribute(unix.RTA_CACHEINFO))
	msg.drop(unix.RTA_CACHEINFO)
	if msg.attribute(rtaNHID) != nil {
		// The kernel tells of the object what it says, and wants one or the other.
		msg.drop(unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_MULTIPATH, unix.RTA_ENCAP, unix.RTA_ENCAP_TYPE)
		r.Shared, rt.Flags = true, 0
	}
	for _, a := range msg.attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_OIF:
			exchangeIndex(a.Value, index, 0)
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_GATEWAY, unix.RTA_VIA:
			r.Via = append(r.Via, nextHop(a.Attr.Type, a.Value))
		case unix.RTA_MULTIPATH:
			err = eachLeg(a.Value, func(hop leg) {
				hop.clean(index)
				r.Shared = r.Shared || hop.index() != 0
				r.OnLink = r.OnLink && hop.onLink()
				r.Via = append(r.Via, hop.via()...)
			})
		}
	}
	copy(msg.fixed, rt.Serialize())
	r.Dst = destination(rt, msg.attribute(unix.RTA_DST))
	e := netmove.Entry{Table: netmove.TableRoute}
	if left > 0 {
		e.Until = ns.kernel.Now() + netmove.BootOffset(left)
	}
	if r.Source.IsValid() {
		r.Unsourced = new(netmove.Entry)
		*r.Unsourced = unsourced(e, r, msg)
	}
	e.Text, e.Message, e.Route = routeText(r, msg), msg.bytes(), r
	return e, err
}

// unsourced is the entry of the route without its source address.
func unsourced(e netmove.Entry, r netmove.Route, msg message) netmove.Entry {
	msg.attrs = slices.Clone(msg.attrs)
	msg.drop(unix.RTA_PREFSRC)
	r.Source = netip.Addr{}
	e.Text, e.Message, e.Route = routeText(r, msg), msg.bytes(), r
	return e
}

// timeLeft is how long a route is there still, 0 without a limit, by its struct
// rta_cacheinfo, which counts in USER_HZ.
func timeLeft(info []byte) time.Duration {
	const expires, userHZ = 8, 100
	if len(info) < expires+4 {
		return 0
	}
	return max(time.Duration(int32(u32(info[expires:])))*time.Second/userHZ, 0)
}

// destination is the route's prefix.
func destination(rt *nl.RtMsg, dst []byte) netip.Prefix {
	addr, ok := netip.AddrFromSlice(dst)
	if !ok {
		addr = netip.IPv4Unspecified()
		if rt.Family == unix.AF_INET6 {
			addr = netip.IPv6Unspecified()
		}
	}
	return netip.PrefixFrom(addr, int(rt.Dst_len))
}

// nextHop is the address of RTA_GATEWAY, or of RTA_VIA (struct rtvia), which
// has its family before it.
func nextHop(typ uint16, value []byte) netip.Addr {
	if typ&^unix.NLA_F_NESTED == unix.RTA_VIA && len(value) > 2 {
		value = value[2:]
	}
	addr, _ := netip.AddrFromSlice(value)
	return addr
}

// leg is one of RTA_MULTIPATH's: struct rtnexthop with attributes.
type leg []byte

// eachLeg goes through the legs of a multipath route.
func eachLeg(legs []byte, do func(leg)) error {
	for len(legs) > 0 {
		if len(legs) < unix.SizeofRtNexthop {
			return fmt.Errorf("leg of a route of %d bytes", len(legs))
		}
		size := int(nl.NativeEndian().Uint16(legs))
		if size < unix.SizeofRtNexthop || size > len(legs) {
			return fmt.Errorf("leg of a route of %d bytes, of %d", size, len(legs))
		}
		do(leg(legs[:size]))
		legs = legs[min((size+3)&^3, len(legs)):]
	}
	return nil
}

func (l leg) index() int   { return int(u32(l[4:])) }
func (l leg) onLink() bool { return l[2]&unix.RTNH_F_ONLINK != 0 }

// clean takes away what reports a state, and the device's ifindex.
func (l leg) clean(index int) {
	l[2] &= settableHopFlags
	exchangeIndex(l[4:], index, 0)
}

func (l leg) via() []netip.Addr {
	attrs, err := nl.ParseRouteAttr(l[unix.SizeofRtNexthop:])
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range attrs {
		if t := a.Attr.Type &^ unix.NLA_F_NESTED; t == unix.RTA_GATEWAY || t == unix.RTA_VIA {
			list = append(list, nextHop(t, a.Value))
		}
	}
	return list
}

// routeText is the route as ip-route(8) has it, as far as it tells routes
// apart.
func routeText(r netmove.Route, msg message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", r.Dst)
	for _, via := range r.Via {
		fmt.Fprintf(&b, " via %s", via)
	}
	if id := msg.attribute(rtaNHID); id != nil {
		fmt.Fprintf(&b, " nhid %d", u32(id))
	}
	if r.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", r.Source)
	}
	if metric := msg.attribute(unix.RTA_PRIORITY); metric != nil {
		fmt.Fprintf(&b, " metric %d", u32(metric))
	}
	if r.Table != unix.RT_TABLE_MAIN {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	return b.String()
}

// routeThrough is the message about an entry's route through the device with that ifindex.
func routeThrough(index int, raw []byte) (message, error) {
	msg, err := parseMessage(raw, unix.SizeofRtMsg)
	for _, a := range msg.attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.RTA_OIF:
			exchangeIndex(a.Value, 0, index)
		case unix.RTA_MULTIPATH:
			err = eachLeg(a.Value, func(hop leg) { exchangeIndex(hop[4:], 0, index) })
		}
	}
	return msg, err
}

// dropRoute removes the route, and no other one with its prefix.
func (ns *Namespace) dropRoute(index int, raw []byte) error {
	msg, err := routeThrough(index, raw)
	if err != nil {
		return err
	}
	return ns.request(unix.RTM_DELROUTE, 0, msg.bytes())
}

// putRoute adds the route. One that the kernel has with the same prefix and
// metric stays, unless they stood beside one another, or it is what is left of this one: of an IPv6 route with
// several legs only those go that lose their device.
func (ns *Namespace) putRoute(index int, e netmove.Entry) error {
	msg, err := routeThrough(index, e.Message)
	if err != nil {
		return err
	}
	if e.Until != 0 {
		left := time.Duration(e.Until - ns.kernel.Now())
		msg.add(unix.RTA_EXPIRES, nl.Uint32Attr(uint32(max(left.Round(time.Second), time.Second)/time.Second)))
	}
	err = ns.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|placeFlag(e.Place), msg.bytes())
	if !is(err, unix.EEXIST) || msg.fixed[0] != unix.AF_INET6 || msg.attribute(unix.RTA_MULTIPATH) == nil {
		return err
	}
	if remnant, rerr := ns.hasRemnant(index, e.Message, msg); rerr != nil || !remnant {
		return errors.Join(err, rerr)
	}
	return ns.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, msg.bytes())
}

// hasRemnant reports whether the kernel has a route with the prefix and metric
// of this one, which is not this one, and has none but its legs.
func (ns *Namespace) hasRemnant(index int, entry []byte, whole message) (bool, error) {
	raw := whole.bytes()
	want, key := appendRouteKey(nil, raw), []byte(nil)
	same, err := gatherRoutes(ns, routeFilter{family: raw[0], table: tableOf(raw)}, func(same *[]message, dumped []byte) error {
		if key = appendRouteKey(key[:0], dumped); !bytes.Equal(key, want) {
			return nil
		}
		msg, err := parseMessage(dumped, unix.SizeofRtMsg)
		*same = append(*same, msg)
		return err
	})
	if len(same) == 0 || err != nil {
		return false, err
	}
	if has, err := ns.entryOfRoute(same[0].bytes(), index); err != nil || bytes.Equal(has.Message, entry) {
		return false, err
	}
	legs := whole.hops()
	return !slices.ContainsFunc(same[0].hops(), func(hop string) bool { return !slices.Contains(legs, hop) }), nil
}

// hops are the legs of a route, or its one next hop, as ifindex and address.
func (m *message) hops() []string {
	legs := m.attribute(unix.RTA_MULTIPATH)
	if legs == nil {
		return []string{fmt.Sprint(u32(m.attribute(unix.RTA_OIF)), nextHop(unix.RTA_GATEWAY, m.attribute(unix.RTA_GATEWAY)))}
	}
	var list []string
	// They were taken apart before.
	_ = eachLeg(legs, func(hop leg) {
		for _, via := range hop.via() {
			list = append(list, fmt.Sprint(hop.index(), via))
		}
	})
	return list
}
