package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/rtnetlink.h and linux/if_link.h, Linux 5.18.
const (
	rtmNewTunnel = 120
	rtmDelTunnel = 121
	rtmGetTunnel = 122

	sizeofTunnelMsg = 8 // struct tunnel_msg
	tunnelIfindex   = 4 // offset in it

	vniEntry  = 1 // VXLAN_VNIFILTER_ENTRY
	vniStart  = 1 // VXLAN_VNIFILTER_ENTRY_START
	vniEnd    = 2 // VXLAN_VNIFILTER_ENTRY_END
	vniGroup  = 3 // VXLAN_VNIFILTER_ENTRY_GROUP
	vniGroup6 = 4 // VXLAN_VNIFILTER_ENTRY_GROUP6
)

// vnis reads the VNIs that a vxlan takes, as ranges.
func (ns *Namespace) vnis(dev *link) ([]netmove.Entry, error) {
	if dev.Identity.Kind != vxlanKind {
		return nil, nil
	}
	filter := tunnelMessage(dev.Identity.Index)
	dumped, err := ns.dumpOf(rtmGetTunnel, rtmNewTunnel, filter.bytes())
	if is(err, unix.EINVAL, unix.EOPNOTSUPP) {
		return nil, nil // one that takes one VNI, or all; a kernel without
	}
	if err != nil {
		return nil, err
	}
	var list []netmove.Entry
	for _, d := range dumped {
		msg, err := parseMessage(d, sizeofTunnelMsg)
		if err != nil {
			return nil, err
		}
		for _, a := range msg.attrs {
			if a.Attr.Type&nl.NLA_TYPE_MASK != vniEntry {
				continue
			}
			e, err := parseMessage(a.Value, 0)
			if err != nil {
				return nil, err
			}
			one := tunnelMessage(0)
			one.add(unix.NLA_F_NESTED|vniEntry, e.bytes())
			list = append(list, netmove.Entry{Table: netmove.TableVNI, Text: vniText(e), Message: one.bytes()})
		}
	}
	return list, nil
}

func tunnelMessage(index int) message {
	msg := message{fixed: make([]byte, sizeofTunnelMsg)}
	msg.fixed[0] = unix.AF_BRIDGE
	binary.NativeEndian.PutUint32(msg.fixed[tunnelIfindex:], uint32(index))
	return msg
}

func vniText(e message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vni %d", u32(e.attribute(vniStart)))
	if end := e.attribute(vniEnd); end != nil {
		fmt.Fprintf(&b, "-%d", u32(end))
	}
	for _, typ := range []uint16{vniGroup, vniGroup6} {
		if group, ok := netip.AddrFromSlice(e.attribute(typ)); ok {
			fmt.Fprintf(&b, " remote %s", group)
		}
	}
	return b.String()
}

func (ns *Namespace) putVNI(index int, e netmove.Entry) error {
	return ns.changeVNI(rtmNewTunnel, index, e.Message)
}

func (ns *Namespace) dropVNI(index int, raw []byte) error {
	return ns.changeVNI(rtmDelTunnel, index, raw)
}

func (ns *Namespace) changeVNI(verb, index int, raw []byte) error {
	msg, err := parseMessage(raw, sizeofTunnelMsg)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(msg.fixed[tunnelIfindex:], uint32(index))
	return ns.request(verb, 0, msg.bytes())
}
