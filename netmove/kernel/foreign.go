package kernel

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// foreignUppers tells of the devices that are built on the device and live in other
// namespaces: sysfs shows those of its own namespace only.
func (s *survey) foreignUppers(l *link, dev netmove.Snapshot) ([]string, error) {
	ns := s.ns
	found, err := s.uppersElsewhere(l.Identity.Index)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, u := range found {
		list = append(list, fmt.Sprintf("%s, of kind %q, is built on it in another namespace", u.Name, u.Identity.Kind))
	}
	if len(list) > 0 || !l.canBeProbed(dev) {
		return list, nil
	}
	if may, err := ns.mayCarry(l); !may || err != nil {
		return nil, err
	}
	kind, err := ns.probe(l)
	if kind != "" {
		list = append(list, fmt.Sprintf("a device of kind %q is built on it in a namespace that this one does not know", kind))
	}
	return list, err
}

// uppersElsewhere are those in the namespaces that this one knows.
func (s *survey) uppersElsewhere(index int) (_ []upper, err error) {
	if s.elsewhere == nil {
		s.elsewhere, err = s.ns.standingElsewhere()
	}
	return s.elsewhere[index], err
}

// standingElsewhere finds the devices of other namespaces that are built on one of this, by
// the ifindex of that.
func (ns *Namespace) standingElsewhere() (map[int][]upper, error) {
	ids, err := ns.known()
	if err != nil {
		return nil, err
	}
	self, err := ns.idOf(int(ns.file))
	if err != nil {
		return nil, err
	}
	var found []upper
	for _, id := range ids {
		if id == self {
			continue
		}
		more, err := ns.stackedIn(id, func(lower int) bool { return lower != 0 })
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if len(found) > 0 && self == unix.NETNSA_NSID_NOT_ASSIGNED {
		if self, err = ns.idOf(int(ns.file)); err != nil { // the dump has given it one
			return nil, err
		}
	}
	below := map[int][]upper{}
	for _, u := range found {
		if u.lowerNetns == self {
			below[u.standsOn()] = append(below[u.standsOn()], u)
		}
	}
	return below, nil
}

// canBeProbed reports whether a probe tells anything. Of a port, and of one with a macvlan
// that is seen, the answer is known beforehand, and on a macvlan it would be about the device
// below.
func (l *link) canBeProbed(dev netmove.Snapshot) bool {
	others := func(u netmove.Snapshot) bool { return !slices.Contains([]string{"vlan", "vxlan"}, u.Identity.Kind) }
	return l.hardware == unix.ARPHRD_ETHER && !l.Role.Loopback && l.Master.Index == 0 && !isMacvlan(l.Identity.Kind) &&
		!slices.ContainsFunc(dev.Uppers, others)
}

// mayCarry reports whether a macvlan or an ipvlan that is up can be on the device. A macvlan has
// it listen to more unicast addresses than its own, and an ipvlan needs its module.
func (ns *Namespace) mayCarry(l *link) (bool, error) {
	if loaded, err := ns.loaded("ipvlan"); loaded || err != nil {
		return loaded, err
	}
	if l.promiscuity > 1 || l.promiscuity == 1 && !l.Flags.Promisc {
		return true, nil
	}
	msgs, err := ns.neighborDump(unix.AF_BRIDGE, 0, l.Identity.Index)
	if is(err, unix.EOPNOTSUPP) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("addresses that ifindex %d listens to: %w", l.Identity.Index, classify(err))
	}
	return slices.ContainsFunc(msgs, func(m message) bool {
		return int(u32(m.fixed[ndmIfindex:])) == l.Identity.Index && m.fixed[ndmFlags]&unix.NTF_SELF != 0 && !isGroup(m)
	}), nil
}

func isMacvlan(kind string) bool { return kind == "macvlan" || kind == "macvtap" }

// probe finds out whether a macvlan or an ipvlan, wherever it is, is built on the device, and
// returns its kind. It asks for a macvlan that the kernel never makes: one of the mode that
// must be alone on its device, under a name that is taken: the device's own. Whether it would be alone is looked
// at first (macvlan_common_newlink), and nobody hears of a device that does not get its name
// (register_netdevice). It takes a grace period of RCU, about a millisecond.
func (ns *Namespace) probe(l *link) (kind string, err error) {
	if has, err := ns.has("macvlan"); !has || err != nil {
		return "", err
	}
	mode := message{}
	mode.add(unix.IFLA_MACVLAN_MODE, nl.Uint32Attr(nl.MACVLAN_MODE_PASSTHRU))
	info := message{}
	info.add(unix.IFLA_INFO_KIND, nl.ZeroTerminated("macvlan"))
	info.add(unix.NLA_F_NESTED|unix.IFLA_INFO_DATA, mode.bytes())
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	// With an ifindex the name is not looked up before.
	req.AddData(ifInfo(math.MaxInt32))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(l.Name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_LINK, nl.Uint32Attr(uint32(l.Identity.Index))))
	req.AddData(nl.NewRtAttr(unix.NLA_F_NESTED|unix.IFLA_LINKINFO, info.bytes()))
	_, err = ns.exchange(req, 0)
	switch {
	case err == nil: // the device has got another name since it was read
		return "", fmt.Errorf("remove a device that was not to be made: %w", errors.Join(errRaced, ns.Delete(math.MaxInt32)))
	case is(err, unix.EINVAL):
		return "macvlan", nil
	case is(err, unix.EBUSY):
		return "ipvlan", nil
	}
	return "", nil // whatever else it is tells nothing
}
