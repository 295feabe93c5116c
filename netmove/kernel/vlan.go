package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/rtnetlink.h and linux/if_bridge.h.
const (
	rtmNewVLAN = 112 // RTM_NEWVLAN, Linux 5.6
	rtmDelVLAN = 113
	rtmGetVLAN = 114

	sizeofBrVLANMsg = 8 // struct br_vlan_msg
	brVLANIfindex   = 4 // offset in it

	vlanEntry       = 1 // BRIDGE_VLANDB_ENTRY
	vlanInfo        = 1 // BRIDGE_VLANDB_ENTRY_INFO, struct bridge_vlan_info
	vlanRange       = 2 // BRIDGE_VLANDB_ENTRY_RANGE
	vlanTunnel      = 4 // BRIDGE_VLANDB_ENTRY_TUNNEL_INFO
	vlanStats       = 5 // BRIDGE_VLANDB_ENTRY_STATS
	vlanMcastGroups = 7 // BRIDGE_VLANDB_ENTRY_MCAST_N_GROUPS

	tunnelCommand = 2 // BRIDGE_VLANDB_TINFO_CMD
)

// vlans reads the VLANs of the device as a port of a bridge.
func (ns *Namespace) vlans(dev *link) ([]netmove.Entry, error) {
	if !isBridgePort(dev.Snapshot) {
		return nil, nil
	}
	filter := make([]byte, sizeofBrVLANMsg)
	filter[0] = unix.AF_BRIDGE
	binary.NativeEndian.PutUint32(filter[brVLANIfindex:], uint32(dev.Identity.Index))
	dumped, err := ns.dumpOf(rtmGetVLAN, rtmNewVLAN, filter)
	if is(err, unix.EOPNOTSUPP, unix.EINVAL) {
		return nil, nil // a kernel without VLAN filtering
	}
	if err != nil {
		return nil, err
	}
	var list []netmove.Entry
	for _, d := range dumped {
		msg, err := parseMessage(d, sizeofBrVLANMsg)
		if err != nil {
			return nil, err
		}
		binary.NativeEndian.PutUint32(msg.fixed[brVLANIfindex:], 0)
		for _, a := range msg.attrs {
			if a.Attr.Type&nl.NLA_TYPE_MASK != vlanEntry {
				continue
			}
			e, err := parseMessage(a.Value, 0)
			if err != nil {
				return nil, err
			}
			e.drop(vlanStats, vlanMcastGroups)
			one := message{fixed: msg.fixed}
			one.add(unix.NLA_F_NESTED|vlanEntry, e.bytes())
			list = append(list, netmove.Entry{Table: netmove.TableVLAN, Text: vlanText(e), Message: one.bytes(), Port: true})
		}
	}
	return list, nil
}

// isBridgePort goes by the options that a bridge has for its port.
func isBridgePort(dev netmove.Snapshot) bool {
	return slices.ContainsFunc(dev.Options, func(o netmove.Option) bool {
		return strings.HasPrefix(o.Name, "bridge"+netmove.PortOption)
	})
}

func vlanText(e message) string {
	info := e.attribute(vlanInfo)
	if len(info) < 4 {
		return ""
	}
	text := fmt.Sprintf("vid %d", binary.NativeEndian.Uint16(info[2:]))
	if end := e.attribute(vlanRange); len(end) == 2 {
		text += fmt.Sprintf("-%d", binary.NativeEndian.Uint16(end))
	}
	if flags := binary.NativeEndian.Uint16(info); flags&nl.BRIDGE_VLAN_INFO_PVID != 0 {
		text += " pvid"
	}
	return text
}

func (ns *Namespace) putVLAN(index int, e netmove.Entry) error {
	msg, err := parseMessage(e.Message, sizeofBrVLANMsg)
	if err != nil {
		return err
	}
	for i, a := range msg.attrs {
		if msg.attrs[i].Value, err = withTunnelCommand(a.Value); err != nil {
			return err
		}
	}
	return ns.changeVLAN(rtmNewVLAN, index, msg.bytes())
}

// withTunnelCommand is the entry as it is asked for: the VNI of a VLAN is told, and set by a
// command.
func withTunnelCommand(entry []byte) ([]byte, error) {
	msg, err := parseMessage(entry, 0)
	for i, a := range msg.attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK != vlanTunnel {
			continue
		}
		tunnel, terr := parseMessage(a.Value, 0)
		if terr != nil {
			return nil, terr
		}
		tunnel.add(tunnelCommand, nl.Uint32Attr(unix.RTM_SETLINK))
		msg.attrs[i].Value = tunnel.bytes()
	}
	return msg.bytes(), err
}

func (ns *Namespace) dropVLAN(index int, raw []byte) error {
	return ns.changeVLAN(rtmDelVLAN, index, raw)
}

func (ns *Namespace) changeVLAN(verb, index int, raw []byte) error {
	msg, err := parseMessage(raw, sizeofBrVLANMsg)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(msg.fixed[brVLANIfindex:], uint32(index))
	return ns.request(verb, 0, msg.bytes())
}
