package netmove

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Routing is what decides where the node's own traffic goes: its policy rules and its default
// routes.
type Routing struct {
	Rules    []Entry // of TableRule
	Defaults []DefaultRoute
}

// PolicyRule is what a policy rule selects by, and where it leads (ip-rule(8)).
type PolicyRule struct {
	IPv6     bool   // for IPv6, or else for IPv4
	Priority uint32 // FRA_PRIORITY
	Table    uint32 // FRA_TABLE; 0: it has no table looked up

	From   netip.Prefix // FRA_SRC; zero: any
	To     netip.Prefix // FRA_DST; zero: any
	Mark   uint32       // FRA_FWMARK
	Mask   uint32       // FRA_FWMASK; 0: any mark
	Invert bool         // FIB_RULE_INVERT: it is for what the selectors do not fit

	// Elsewhere is set for a selector that only other traffic fits: by a device that it came
	// in by or is bound to, a tunnel's id, a VRF.
	Elsewhere bool

	// Part is set for a selector that a part of the node's own traffic fits: by user,
	// protocol, port, TOS or flow label.
	Part bool

	// Suppress is the longest prefix of the table that does not count
	// (FRA_SUPPRESS_PREFIXLEN); -1: all count.
	Suppress int
}

// DefaultRoute is a unicast route to anywhere, or to a part of anywhere: programs split the
// default into 0.0.0.0/1 and 128.0.0.0/1, or into quarters to win against that, or route all global IPv6, 2000::/3.
type DefaultRoute struct {
	To      netip.Prefix // RTA_DST
	From    netip.Prefix // RTA_SRC, IPv6 only; zero: any
	TOS     uint8        // rtm_tos
	Table   uint32       // RTA_TABLE
	Metric  uint32       // RTA_PRIORITY
	Source  netip.Addr   // RTA_PREFSRC; zero: the kernel chooses
	Through []int        // ifindexes: RTA_OIF and the legs of RTA_MULTIPATH, nexthop objects resolved
	Via     []netip.Addr // RTA_GATEWAY, RTA_VIA, and those of the legs
}

// String is the route in the words of ip-route(8), but for its devices.
func (d DefaultRoute) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(map[netip.Prefix]string{
		netip.PrefixFrom(netip.IPv4Unspecified(), 0): "default", netip.PrefixFrom(netip.IPv6Unspecified(), 0): "-6 default",
	}[d.To], d.To.String()))
	if d.From.IsValid() {
		fmt.Fprintf(&b, " from %s", d.From)
	}
	for _, via := range d.Via {
		fmt.Fprintf(&b, " via %s", via)
	}
	if d.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", d.Source)
	}
	if d.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", d.Metric)
	}
	if d.Table == mainTable {
		b.WriteString(" table main")
	} else {
		fmt.Fprintf(&b, " table %d", d.Table)
	}
	return b.String()
}

// Uplink is a default route that a device has to do with.
type Uplink struct {
	Route  string     // as DefaultRoute has it; "": none
	Device string     // the device that it goes through: the one in question, or one that is built on that
	Source netip.Addr // the address of the device's that is the route's source; zero: it carries the route
}

// Longest prefixes that count as a default route.
const (
	maxDefaultBits4 = 2
	maxDefaultBits6 = 3
)

// IsDefault reports whether a unicast route to a prefix of that length is a default route.
func IsDefault(ipv6 bool, bits int) bool {
	if ipv6 {
		return bits <= maxDefaultBits6
	}
	return bits <= maxDefaultBits4
}

const (
	mainTable  = 254 // what traffic is routed by where no rule says otherwise (RT_TABLE_MAIN)
	localTable = 255 // addresses of the node, by the kernel (RT_TABLE_LOCAL)
)

// Uplink tells the default routes that the node's own unmarked traffic takes, in any table that
// it looks at, from those of worse metric beside them. Other default routes are in neither.
func (r Routing) Uplink() (best, worse []DefaultRoute) {
	lowest := map[routeKey]uint32{}
	counting := slices.DeleteFunc(slices.Clone(r.Defaults), func(d DefaultRoute) bool { return !r.counts(d) })
	for _, d := range counting {
		if have, ok := lowest[d.key()]; !ok || d.Metric < have {
			lowest[d.key()] = d.Metric
		}
	}
	for _, d := range counting {
		if d.Metric == lowest[d.key()] {
			best = append(best, d)
		} else {
			worse = append(worse, d)
		}
	}
	return best, worse
}

// Tables are those that the node's own unmarked traffic of a family looks at, where a default
// route can be.
func (r Routing) Tables(ipv6 bool) []uint32 {
	list := []uint32{mainTable}
	for _, rule := range r.Rules {
		if table := rule.Rule.Table; rule.Rule.leads(ipv6) && table != localTable && !slices.Contains(list, table) {
			list = append(list, table)
		}
	}
	return list
}

// routeKey is what routes share of which the one of the lowest metric wins.
type routeKey struct {
	to, from netip.Prefix
	tos      uint8
	table    uint32
}

func (d DefaultRoute) key() routeKey { return routeKey{d.To, d.From, d.TOS, d.Table} }

// counts reports whether the node's own unmarked traffic comes to the route.
func (r Routing) counts(d DefaultRoute) bool {
	leads := func(e Entry) bool {
		return e.Rule.Table == d.Table && e.Rule.leads(d.To.Addr().Is6()) && e.Rule.Suppress < d.To.Bits()
	}
	return d.Table == mainTable || slices.ContainsFunc(r.Rules, leads)
}

// leads reports whether the node's own unmarked traffic of a family, or a part of it, comes to
// the rule's table. It has no source address when its route is looked up (fib_rule_match).
func (r PolicyRule) leads(ipv6 bool) bool {
	anywhere := netip.IPv4Unspecified()
	if ipv6 {
		anywhere = netip.IPv6Unspecified()
	}
	if r.IPv6 != ipv6 || r.Table == 0 {
		return false
	}
	fits := !r.Elsewhere && r.Mark&r.Mask == 0 &&
		(!r.From.IsValid() || r.From.Contains(anywhere)) && (!r.To.IsValid() || IsDefault(ipv6, r.To.Bits()))
	if r.Invert {
		return !fits || r.Part || r.To.IsValid()
	}
	return fits
}
