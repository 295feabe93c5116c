package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/nexthop.h.
const (
	sizeofNhmsg = 8 // struct nhmsg
	nhmScope    = 1 // offsets in it
	nhmProtocol = 2
	nhmFlags    = 4

	sizeofNexthopGrp = 8 // struct nexthop_grp

	nhaResGroup    = 12 // NHA_RES_GROUP
	nhaOpFlags     = 14 // NHA_OP_FLAGS
	nhaGroupStats  = 15 // NHA_GROUP_STATS
	nhaHWStatsUsed = 17 // NHA_HW_STATS_USED

	nhaResGroupAge = 4 // NHA_RES_GROUP_UNBALANCED_TIME
)

// nexthops reads the nexthop objects through the device, and the groups that
// such an object is in.
func (ns *Namespace) nexthops(dev *link) ([]netmove.Entry, error) {
	through := nl.NewRtAttr(unix.NHA_OIF, nl.Uint32Attr(uint32(dev.Identity.Index)))
	single, err := ns.nexthopDump(through, func([]byte) bool { return true })
	if err != nil || len(single) == 0 {
		return nil, err
	}
	ours := map[uint32]bool{}
	for _, msg := range single {
		ours[u32(msg.attribute(unix.NHA_ID))] = true
	}
	groups, err := ns.nexthopDump(nl.NewRtAttr(unix.NHA_GROUPS, nil), func(msg []byte) bool {
		return hasAny(findAttribute(msg[sizeofNhmsg:], unix.NHA_GROUP), ours)
	})
	var list []netmove.Entry
	for _, msg := range append(single, groups...) {
		list = appendNexthop(list, msg, dev.Identity.Index)
	}
	return list, err
}

// nexthopDump reads those of the objects for which wanted is true. A routing daemon may have
// made many.
func (ns *Namespace) nexthopDump(filter *nl.RtAttr, wanted func(msg []byte) bool) ([]message, error) {
	req := dumpRequest(unix.RTM_GETNEXTHOP, append(make([]byte, sizeofNhmsg), filter.Serialize()...))
	msgs, err := gather(ns, req, unix.RTM_NEWNEXTHOP, func(msgs *[]message, dumped []byte) error {
		if len(dumped) >= sizeofNhmsg && !wanted(dumped) {
			return nil
		}
		msg, err := parseMessage(dumped, sizeofNhmsg)
		*msgs = append(*msgs, msg)
		return err
	})
	if is(err, unix.EOPNOTSUPP) {
		return nil, nil // a kernel without nexthop objects
	}
	return msgs, err
}

func hasAny(group []byte, ids map[uint32]bool) bool {
	for ; len(group) >= sizeofNexthopGrp; group = group[sizeofNexthopGrp:] {
		if ids[u32(group)] {
			return true
		}
	}
	return false
}

func appendNexthop(list []netmove.Entry, msg message, index int) []netmove.Entry {
	if madeByProgram(msg.fixed[nhmProtocol]) {
		return list
	}
	msg.fixed[nhmScope] = 0
	flags := nl.NativeEndian().Uint32(msg.fixed[nhmFlags:]) & settableHopFlags
	nl.NativeEndian().PutUint32(msg.fixed[nhmFlags:], flags)
	msg.drop(nhaOpFlags, nhaGroupStats, nhaHWStatsUsed)
	if typ := msg.attribute(unix.NHA_GROUP_TYPE); len(typ) == 2 && typ[0] == 0 && typ[1] == 0 {
		msg.drop(unix.NHA_GROUP_TYPE) // the usual one
	}
	for i, a := range msg.attrs {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case unix.NHA_OIF:
			exchangeIndex(a.Value, index, 0)
		case nhaResGroup:
			msg.attrs[i].Value = withoutAge(a.Value)
		}
	}
	return append(list, netmove.Entry{Table: netmove.TableNexthop, Text: nexthopText(msg), Message: msg.bytes()})
}

// withoutAge takes away from a resilient group for how long it has not been
// balanced.
func withoutAge(group []byte) []byte {
	msg, err := parseMessage(group, 0)
	if err != nil {
		return group
	}
	msg.drop(nhaResGroupAge)
	return msg.bytes()
}

// nexthopText is the object as ip-nexthop(8) has it.
func nexthopText(msg message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "id %d", u32(msg.attribute(unix.NHA_ID)))
	for g := msg.attribute(unix.NHA_GROUP); len(g) >= sizeofNexthopGrp; g = g[sizeofNexthopGrp:] {
		fmt.Fprintf(&b, " group %d", u32(g))
	}
	if via, ok := netip.AddrFromSlice(msg.attribute(unix.NHA_GATEWAY)); ok {
		fmt.Fprintf(&b, " via %s", via)
	}
	return b.String()
}

// putNexthop makes the object. A group that has lost members since, and no
// others, gets them back.
func (ns *Namespace) putNexthop(index int, e netmove.Entry) error {
	msg, err := parseMessage(e.Message, sizeofNhmsg)
	if err != nil {
		return err
	}
	exchangeIndex(msg.attribute(unix.NHA_OIF), 0, index)
	for i, a := range msg.attrs {
		if a.Attr.Type == unix.NHA_ENCAP { // asked for, and not told
			msg.attrs[i].Attr.Type |= unix.NLA_F_NESTED
		}
	}
	err = ns.request(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg.bytes())
	if !is(err, unix.EEXIST) || msg.attribute(unix.NHA_GROUP) == nil {
		return err
	}
	id, want := u32(msg.attribute(unix.NHA_ID)), msg.attribute(unix.NHA_GROUP)
	remnants, derr := ns.nexthopDump(nl.NewRtAttr(unix.NHA_GROUPS, nil), func(g []byte) bool {
		return u32(findAttribute(g[sizeofNhmsg:], unix.NHA_ID)) == id && isPart(findAttribute(g[sizeofNhmsg:], unix.NHA_GROUP), want)
	})
	if derr != nil || len(remnants) == 0 {
		return errors.Join(err, derr)
	}
	return ns.request(unix.RTM_NEWNEXTHOP, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, msg.bytes())
}

// dropNexthop removes the object, and with it the routes through it.
func (ns *Namespace) dropNexthop(_ int, raw []byte) error {
	msg, err := parseMessage(raw, sizeofNhmsg)
	if err != nil {
		return err
	}
	one := message{fixed: make([]byte, sizeofNhmsg)}
	one.add(unix.NHA_ID, msg.attribute(unix.NHA_ID))
	return ns.request(unix.RTM_DELNEXTHOP, 0, one.bytes())
}

// isPart reports whether every member of a group is one of another's, with the
// same weight.
func isPart(group, of []byte) bool {
	members := map[string]bool{}
	for ; len(of) >= sizeofNexthopGrp; of = of[sizeofNexthopGrp:] {
		members[string(of[:sizeofNexthopGrp])] = true
	}
	for ; len(group) >= sizeofNexthopGrp; group = group[sizeofNexthopGrp:] {
		if !members[string(group[:sizeofNexthopGrp])] {
			return false
		}
	}
	return true
}

// nexthopObjects are nexthop objects by id: the devices of single ones, the members of groups.
type nexthopObjects struct {
	devices map[uint32]int
	members map[uint32][]uint32
}

// nexthopCarriers finds out which devices carry each of the nexthop objects.
func (ns *Namespace) nexthopCarriers() (nexthopCarriers, error) {
	req := dumpRequest(unix.RTM_GETNEXTHOP, make([]byte, sizeofNhmsg))
	all, err := gather(ns, req, unix.RTM_NEWNEXTHOP, func(all *nexthopObjects, msg []byte) error {
		if len(msg) < sizeofNhmsg {
			return errors.New("short RTM_NEWNEXTHOP")
		}
		all.take(msg[sizeofNhmsg:])
		return nil
	})
	if err != nil && !is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("nexthop objects: %w", err)
	}
	carriers := nexthopCarriers{}
	for id, index := range all.devices {
		carriers[id] = []int{index}
	}
	for id, members := range all.members {
		for _, member := range members {
			if index, ok := all.devices[member]; ok && !slices.Contains(carriers[id], index) {
				carriers[id] = append(carriers[id], index)
			}
		}
	}
	return carriers, nil
}

func (o *nexthopObjects) take(attrs []byte) {
	if o.devices == nil {
		o.devices, o.members = map[uint32]int{}, map[uint32][]uint32{}
	}
	id := u32(findAttribute(attrs, unix.NHA_ID))
	if device := findAttribute(attrs, unix.NHA_OIF); device != nil {
		o.devices[id] = int(u32(device))
	}
	for g := findAttribute(attrs, unix.NHA_GROUP); len(g) >= sizeofNexthopGrp; g = g[sizeofNexthopGrp:] {
		o.members[id] = append(o.members[id], u32(g))
	}
}
