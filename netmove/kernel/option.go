package kernel

import (
	"encoding/binary"
	"slices"
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

// linkOptions are the attributes of RTM_NEWLINK that a pod can change, and
// that are not fields of a snapshot.
func linkOptions() [8]linkOption {
	return [...]linkOption{
		{unix.IFLA_BROADCAST, "broadcast"},
		{unix.IFLA_LINKMODE, "mode"},
		{unix.IFLA_PROTO_DOWN, protoDown},
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

// protoDown is the option for IFLA_PROTO_DOWN, with the reasons for it where there are some
// (IFLA_PROTO_DOWN_REASON): the kernel does not take the one off as long as it has the other.
const protoDown = "protodown"

// carrierOption is the option for IFLA_CARRIER, of kinds that have no other carrier than that.
const carrierOption = "carrier"

func (ns *Namespace) setCarrier(index int, value []byte) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_CARRIER, value))
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
	if master == "" {
		return nil
	}
	port := msg.attribute(unix.IFLA_INFO_SLAVE_DATA)
	if no := findAttribute(port, unix.IFLA_BRPORT_NO); master == "bridge" && len(no) == 2 {
		l.Port = int(binary.NativeEndian.Uint16(no))
	}
	return l.addOptions(master+slaveSuffix, port)
}

// setOwnMAC takes over the MAC that the bond gives its port back when that leaves
// it; as long as it is a port it has the bond's.
func (l *link) setOwnMAC(port []byte) error {
	msg, err := parseMessage(port, 0)
	l.ownMAC = msg.attribute(unix.IFLA_BOND_SLAVE_PERM_HWADDR)
	return err
}

// addLinkOption takes over an attribute of RTM_NEWLINK, if it is an option. Reasons come
// after what they are reasons for.
func (l *link) addLinkOption(typ uint16, value []byte) error {
	switch typ {
	case unix.IFLA_CARRIER:
		l.carrier = value
	case unix.IFLA_OPERSTATE:
		if len(value) == 1 {
			l.Options = append(l.Options, operState(value[0]))
		}
	case unix.IFLA_PROTO_DOWN_REASON:
		reasons, err := parseMessage(value, 0)
		i := slices.IndexFunc(l.Options, func(o netmove.Option) bool { return o.Name == protoDown })
		if i >= 0 {
			l.Options[i].Value = slices.Concat(l.Options[i].Value, reasons.attribute(unix.IFLA_PROTO_DOWN_REASON_VALUE))
		}
		return err
	}
	for _, o := range linkOptions() {
		if o.typ == typ {
			l.addOption(o.name, value)
		}
	}
	return nil
}

// States of operation of linux/if.h, which package unix lacks.
const (
	operUnknown byte = 0 // IF_OPER_UNKNOWN
	operTesting byte = 4
	operDormant byte = 5
	operUp      byte = 6
)

// stateOption is the option for IFLA_OPERSTATE: whether protocols have to wait with the device
// for something other than a carrier.
const stateOption = "state"

// operState is that option. A device that needs no carrier is in state unknown, which counts as
// up: the kernel has no request for it. Of one that is down, or has no carrier, the kernel does
// not tell whether somebody has set it dormant.
func operState(state byte) netmove.Option {
	o := netmove.Option{Name: stateOption, Value: []byte{operUp}}
	switch state {
	case operTesting, operDormant:
		o.Value[0] = state
	case operUnknown, operUp:
	default:
		o.Unknown = true
	}
	return o
}

func (l *link) addOption(name string, value []byte) {
	l.Options = append(l.Options, netmove.Option{Name: name, Value: value})
}

// setFamilies takes over what of IFLA_AF_SPEC is put back by netlink.
func (l *link) setFamilies(spec []byte) error {
	families, err := parseMessage(spec, 0)
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
	if o.Name == netmove.LinkType {
		return ns.setLinkType(index, o.Value)
	}
	if o.Name == carrierOption {
		return ns.setCarrier(index, o.Value)
	}
	if o.Name == stateOption {
		return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_OPERSTATE, o.Value))
	}
	if o.Name == protoDown {
		return ns.newLink(ifInfo(index), protoDownAttrs(o.Value)...)
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
	kind, option, _ := strings.Cut(o.Name, ".")
	return ns.setKindOption(index, kind, option, o.Value)
}

// protoDownAttrs are the attributes for a value of protoDown. The kernel takes the reasons
// first, and all that are not in the value are cleared.
func protoDownAttrs(value []byte) []*nl.RtAttr {
	reasons := message{}
	reasons.add(unix.IFLA_PROTO_DOWN_REASON_MASK, nl.Uint32Attr(^uint32(0)))
	reasons.add(unix.IFLA_PROTO_DOWN_REASON_VALUE, nl.Uint32Attr(u32(value[min(1, len(value)):])))
	return []*nl.RtAttr{
		nl.NewRtAttr(unix.NLA_F_NESTED|unix.IFLA_PROTO_DOWN_REASON, reasons.bytes()),
		nl.NewRtAttr(unix.IFLA_PROTO_DOWN, value[:min(1, len(value))]),
	}
}
