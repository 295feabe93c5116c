package kernel

import (
	"cmp"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// HasRoute looks for a route with the destination, the metric and the table.
func (ns *Namespace) HasRoute(want netmove.RouteRequest) (bool, error) {
	is6 := want.To.Addr().Is6()
	table := cmp.Or(want.Table, unix.RT_TABLE_MAIN)
	msgs, err := ns.routesOf(family(is6), table)
	if err != nil {
		return false, fmt.Errorf("routes of table %d: %w", table, classify(err))
	}
	for _, dumped := range msgs {
		msg, err := parseMessage(dumped, unix.SizeofRtMsg)
		if err != nil {
			return false, err
		}
		rt := nl.DeserializeRtMsg(msg.fixed)
		if rt.Tos == 0 && rt.Src_len == 0 && destination(rt, msg.attribute(unix.RTA_DST)) == want.To &&
			u32(msg.attribute(unix.RTA_PRIORITY)) == want.EffectiveMetric() {
			return true, nil
		}
	}
	return false, nil
}

// demotion is how much worse the metric of a default route becomes than that of the one that
// stands before it.
const demotion = 1024

// Demotions tells which default routes of the main table do not have a worse metric than that,
// and what they are with one.
func (ns *Namespace) Demotions(ipv6 bool, metric uint32) ([]netmove.Replacement, error) {
	msgs, err := ns.routesOf(family(ipv6), unix.RT_TABLE_MAIN)
	if err != nil {
		return nil, classify(err)
	}
	taken := map[uint32]bool{}
	var rivals []sourced
	for _, msg := range msgs {
		if rt := nl.DeserializeRtMsg(msg); !isDefaultRoute(msg) || rt.Dst_len != 0 {
			continue
		}
		r, err := parseSourced(msg)
		if err != nil {
			return nil, err
		}
		has := u32(r.attribute(unix.RTA_PRIORITY))
		taken[has] = true
		if has <= metric && len(r.through) > 0 {
			rivals = append(rivals, r)
		}
	}
	var list []netmove.Replacement
	worse := metric + demotion
	for _, r := range rivals {
		for taken[worse] {
			worse++
		}
		taken[worse] = true
		d, err := ns.demoted(r, worse)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

func (ns *Namespace) demoted(r sourced, metric uint32) (d netmove.Replacement, err error) {
	d.Index = r.through[0]
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
