package kernel

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// HasRoute looks for a route with the destination, the metric and the table.
func (ns *Namespace) HasRoute(want netmove.RouteRequest) (bool, error) {
	is6 := want.To.Addr().Is6()
	table := cmp.Or(want.Table, unix.RT_TABLE_MAIN)
	has, err := gatherRoutes(ns, routeFilter{family: family(is6), table: table}, func(has *bool, msg []byte) error {
		rt := nl.DeserializeRtMsg(msg)
		*has = *has || rt.Tos == 0 && rt.Src_len == 0 && prefixOf(msg) == want.To &&
			u32(routeAttribute(msg, unix.RTA_PRIORITY)) == want.EffectiveMetric()
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("routes of table %d: %w", table, classify(err))
	}
	return has, nil
}

// demotion is how much worse the metric of a default route becomes than that of the one that
// stands before it.
const demotion = 1024

// Demotions tells which default routes of the main table do not have a worse metric than that,
// and what they are with one. One that drops what it is for counts as well: no other route can
// have its metric.
func (ns *Namespace) Demotions(ipv6 bool, metric uint32, taken []uint32) (list []netmove.Replacement, err error) {
	const length = 1 // offset of the prefix's in struct rtmsg
	main := routeFilter{family: family(ipv6), table: unix.RT_TABLE_MAIN}
	msgs, err := gatherRoutes(ns, main, func(list *[][]byte, msg []byte) error {
		if msg[length] == 0 && u32(msg[rtmFlags:])&unix.RTM_F_CLONED == 0 {
			*list = append(*list, slices.Clone(msg))
		}
		return nil
	})
	if err != nil {
		return nil, classify(err)
	}
	taken = slices.Clone(taken)
	for _, msg := range msgs {
		taken = append(taken, u32(routeAttribute(msg, unix.RTA_PRIORITY)))
	}
	beside := map[string]int{}
	worse := metric + demotion
	for _, msg := range msgs {
		if u32(routeAttribute(msg, unix.RTA_PRIORITY)) > metric {
			continue
		}
		for slices.Contains(taken, worse) {
			worse++
		}
		taken = append(taken, worse)
		d, err := ns.demoted(msg, worse)
		if err != nil {
			return nil, err
		}
		// Those with one metric are put back from the last to the first, each before those that
		// are there: an attach that failed may have left some.
		key := string(appendRouteKey(nil, msg))
		if first, others := beside[key]; others {
			list[first].Was.Place, d.Was.Place = netmove.PlaceFirst, netmove.PlaceFirst
		} else {
			beside[key] = len(list)
		}
		list = append(list, d)
	}
	return list, nil
}

func (ns *Namespace) demoted(dumped []byte, metric uint32) (d netmove.Replacement, err error) {
	r, err := parseSourced(dumped)
	if err != nil {
		return d, err
	}
	if len(r.through) > 0 { // else no device, or those of a nexthop object
		d.Index = r.through[0]
	}
	if d.Was, err = ns.entryOfRoute(r.bytes(), d.Index); err != nil {
		return d, err
	}
	r.drop(unix.RTA_PRIORITY)
	r.addNumber(unix.RTA_PRIORITY, metric)
	if d.Now, err = ns.entryOfRoute(r.bytes(), d.Index); err != nil {
		err = fmt.Errorf("route %s: %w", d.Was.Text, err)
	}
	return d, err
}
