package kernel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// inet6Options are the attributes of IPv6 in IFLA_AF_SPEC that are put back by
// netlink: by its sysctl, the way in which addresses are made is changed with
// the effect of making one, also on a device that is down.
func inet6Options() [2]linkOption {
	return [...]linkOption{
		{unix.IFLA_INET6_ADDR_GEN_MODE, "addrgenmode"},
		{unix.IFLA_INET6_TOKEN, "token"}, // ip-token(8)
	}
}

// slaveSuffix follows the kind of the master in names of options that are the
// master's about its port.
const slaveSuffix = "_slave"

// linkOptions are the attributes of RTM_NEWLINK that a pod can change, and
// that are not fields of a snapshot.
func linkOptions() [8]linkOption {
	return [...]linkOption{
		{unix.IFLA_BROADCAST, "broadcast"},
		{unix.IFLA_LINKMODE, "mode"},
		{unix.IFLA_PROTO_DOWN, "protodown"},
		{unix.IFLA_GSO_MAX_SEGS, "gso_max_segs"},
		{unix.IFLA_GSO_MAX_SIZE, "gso_max_size"},
		{unix.IFLA_GRO_MAX_SIZE, "gro_max_size"},
		{unix.IFLA_GSO_IPV4_MAX_SIZE, "gso_ipv4_max_size"},
		{unix.IFLA_GRO_IPV4_MAX_SIZE, "gro_ipv4_max_size"},
	}
}

type linkOption struct {
	typ  uint16
	name string // as in ip-link(8)
}

// reportedOf tells the attributes of a kind, or of a kind's port, that report a
// state and that nobody sets.
func reportedOf(kind string, typ uint16) bool {
	switch kind {
	case "tun":
		return true
	case "macvlan", "macvtap":
		return slices.Contains([]uint16{unix.IFLA_MACVLAN_MACADDR_COUNT, unix.IFLA_MACVLAN_BC_QUEUE_LEN_USED}, typ)
	case "can":
		return !slices.Contains(canSettings(), typ)
	case "bridge" + slaveSuffix:
		return slices.Contains([]uint16{
			unix.IFLA_BRPORT_STATE, unix.IFLA_BRPORT_ROOT_ID, unix.IFLA_BRPORT_BRIDGE_ID, unix.IFLA_BRPORT_DESIGNATED_PORT,
			unix.IFLA_BRPORT_DESIGNATED_COST, unix.IFLA_BRPORT_ID, unix.IFLA_BRPORT_NO, unix.IFLA_BRPORT_TOPOLOGY_CHANGE_ACK,
			unix.IFLA_BRPORT_CONFIG_PENDING, unix.IFLA_BRPORT_MESSAGE_AGE_TIMER, unix.IFLA_BRPORT_FORWARD_DELAY_TIMER,
			unix.IFLA_BRPORT_HOLD_TIMER, unix.IFLA_BRPORT_MCAST_EHT_HOSTS_CNT, unix.IFLA_BRPORT_MCAST_N_GROUPS,
		}, typ)
	case "bond" + slaveSuffix:
		return typ != unix.IFLA_BOND_SLAVE_QUEUE_ID && typ != unix.IFLA_BOND_SLAVE_PRIO
	case "team" + slaveSuffix, "vrf" + slaveSuffix:
		return true
	}
	return false
}

// allOfKind, in the place of an attribute's number, means all of IFLA_INFO_DATA.
const allOfKind = 0

// setAtOnce tells the kinds that set to zero what a request does not name
// (ipgre_netlink_parms, ip_tunnel_netlink_parms and the like).
func setAtOnce(kind string) bool {
	return slices.Contains([]string{
		"gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ip6erspan", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm",
	}, kind)
}

// setInfo takes over IFLA_LINKINFO: what kind of device it is, of what kind its
// master, and the options of both.
func (l *link) setInfo(info []byte) error {
	msg, err := parseMessage(info, 0)
	if err != nil {
		return err
	}
	l.Identity.Kind = unix.ByteSliceToString(msg.attribute(unix.IFLA_INFO_KIND))
	master := unix.ByteSliceToString(msg.attribute(unix.IFLA_INFO_SLAVE_KIND))
	if master == "bond" {
		if err := l.setOwnMAC(msg.attribute(unix.IFLA_INFO_SLAVE_DATA)); err != nil {
			return err
		}
	}
	if err := l.addOptions(l.Identity.Kind, msg.attribute(unix.IFLA_INFO_DATA)); err != nil {
		return err
	}
	return l.addOptions(master+slaveSuffix, msg.attribute(unix.IFLA_INFO_SLAVE_DATA))
}

// setOwnMAC takes over the MAC that the bond gives its port back when that leaves
// it; as long as it is a port it has the bond's.
func (l *link) setOwnMAC(port []byte) error {
	msg, err := parseMessage(port, 0)
	l.ownMAC = msg.attribute(unix.IFLA_BOND_SLAVE_PERM_HWADDR)
	return err
}

func (l *link) addOptions(kind string, data []byte) error {
	msg, err := parseMessage(data, 0)
	if err != nil {
		return fmt.Errorf("options of a %s: %w", kind, err)
	}
	if kind == "tun" {
		l.addTun(msg)
	}
	if setAtOnce(kind) {
		l.addOption(kind+"."+strconv.Itoa(allOfKind), data)
		return nil
	}
	for _, a := range msg.attrs {
		if typ := a.Attr.Type & nl.NLA_TYPE_MASK; !reportedOf(kind, typ) {
			l.addOption(kind+"."+strconv.Itoa(int(typ)), a.Value)
		}
	}
	return nil
}

// addLinkOption takes over an attribute of RTM_NEWLINK, if it is an option.
func (l *link) addLinkOption(typ uint16, value []byte) {
	for _, o := range linkOptions() {
		if o.typ == typ {
			l.addOption(o.name, value)
		}
	}
}

func (l *link) addOption(name string, value []byte) {
	l.Options = append(l.Options, netmove.Option{Name: name, Value: value})
}

// setFamilies takes over what of IFLA_AF_SPEC is put back by netlink.
func (l *link) setFamilies(spec []byte) error {
	families, err := parseMessage(spec, 0)
	if err == nil {
		err = l.setConf(families)
	}
	if err != nil {
		return err
	}
	inet6, err := parseMessage(families.attribute(unix.AF_INET6), 0)
	if err != nil {
		return err
	}
	for _, o := range inet6Options() {
		if value := inet6.attribute(o.typ); value != nil {
			l.addOption(o.name, value)
		}
	}
	return nil
}

// SetOption sets an option that a snapshot has.
func (ns *Namespace) SetOption(index int, o netmove.Option) error {
	if s, ok := sourceOf(o.Name); ok {
		return s.set(ns, index, strings.TrimPrefix(o.Name, s.prefix), o.Value)
	}
	if name, ok := strings.CutPrefix(o.Name, tunPrefix); ok {
		return ns.setTun(index, name, o.Value)
	}
	for _, known := range inet6Options() {
		if known.name == o.Name {
			spec, inet6 := message{}, message{}
			inet6.add(known.typ, o.Value)
			spec.add(unix.NLA_F_NESTED|unix.AF_INET6, inet6.bytes())
			return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.NLA_F_NESTED|unix.IFLA_AF_SPEC, spec.bytes()))
		}
	}
	for _, known := range linkOptions() {
		if known.name == o.Name {
			return ns.newLink(ifInfo(index), nl.NewRtAttr(int(known.typ), o.Value))
		}
	}
	kind, number, _ := strings.Cut(o.Name, ".")
	typ, err := strconv.ParseUint(number, 10, 14)
	if err != nil {
		return fmt.Errorf("no option %q", o.Name)
	}
	value := o.Value
	if kind == "can" {
		value = canValue(uint16(typ), value)
	}
	data := value
	if typ != allOfKind {
		one := message{}
		one.add(uint16(typ), value)
		data = one.bytes()
	}
	info := message{}
	if master, ok := strings.CutSuffix(kind, slaveSuffix); ok {
		info.add(unix.IFLA_INFO_SLAVE_KIND, nl.ZeroTerminated(master))
		info.add(unix.NLA_F_NESTED|unix.IFLA_INFO_SLAVE_DATA, data)
	} else {
		info.add(unix.IFLA_INFO_KIND, nl.ZeroTerminated(kind))
		info.add(unix.NLA_F_NESTED|unix.IFLA_INFO_DATA, data)
	}
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.NLA_F_NESTED|unix.IFLA_LINKINFO, info.bytes()))
}
