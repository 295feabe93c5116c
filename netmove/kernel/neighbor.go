package kernel

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Struct ndmsg of linux/neighbour.h, and what package unix lacks of it.
const (
	sizeofNdmsg = 12
	ndmIfindex  = 4 // offsets
	ndmState    = 8
	ndmFlags    = 10
	ndmType     = 11

	ndaProtocol = 12 // NDA_PROTOCOL
	ndaFlagsExt = 15 // NDA_FLAGS_EXT
	extManaged  = 1  // NTF_EXT_MANAGED
)

// neighbors reads the permanent and the proxy neighbors on the device.
func (ns *Namespace) neighbors(dev *link) ([]netmove.Entry, error) {
	var list []netmove.Entry
	for _, flags := range []uint8{0, unix.NTF_PROXY} {
		msgs, err := ns.neighborDump(unix.AF_UNSPEC, flags, dev.Identity.Index)
		if err != nil {
			return nil, err
		}
		for _, msg := range msgs {
			family, state := msg.fixed[0], binary.NativeEndian.Uint16(msg.fixed[ndmState:])
			proxy := msg.fixed[ndmFlags]&unix.NTF_PROXY != 0
			lasting := proxy || msg.isManaged() || state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0
			if family != unix.AF_INET && family != unix.AF_INET6 || !lasting || isGroupNeighbor(msg) {
				continue
			}
			if p := msg.attribute(ndaProtocol); len(p) == 1 && madeByProgram(p[0]) {
				continue
			}
			list = append(list, neighborEntry(netmove.TableNeighbor, msg))
		}
	}
	return list, nil
}

// isManaged reports whether the kernel keeps the neighbor's MAC up to date for whoever made it
// (NTF_EXT_MANAGED, Linux 5.16).
func (m *message) isManaged() bool {
	return u32(m.attribute(ndaFlagsExt))&extManaged != 0
}

// isGroupNeighbor reports whether the neighbor is one that the kernel makes for a multicast
// or broadcast address, or on a device that needs none (arp_constructor, ndisc_constructor).
func isGroupNeighbor(m message) bool {
	if binary.NativeEndian.Uint16(m.fixed[ndmState:])&unix.NUD_NOARP == 0 {
		return false
	}
	mac := m.attribute(unix.NDA_LLADDR)
	return len(mac) == 0 || mac[0]&1 != 0
}

// fdb reads what the device listens to besides its own address, and the static
// entries that its bridge has for it.
func (ns *Namespace) fdb(dev *link) ([]netmove.Entry, error) {
	msgs, err := ns.neighborDump(unix.AF_BRIDGE, 0, dev.Identity.Index)
	if is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []netmove.Entry
	for _, msg := range msgs {
		if int(u32(msg.fixed[ndmIfindex:])) != dev.Identity.Index || !staticFDB(msg, dev.MAC) {
			continue
		}
		port := msg.fixed[ndmFlags]&unix.NTF_SELF == 0
		if !port && dev.Identity.Kind == vxlanKind {
			continue // of a table of its own
		}
		if port {
			msg.fixed[ndmFlags] |= unix.NTF_MASTER // not told, and asked for
		}
		e := neighborEntry(netmove.TableFDB, msg)
		e.Port = port
		list = append(list, e)
	}
	return list, nil
}

// staticFDB tells the entries that somebody has made. Of multicast addresses
// it cannot be told: protocols have theirs put there and make them again.
func staticFDB(msg message, own netmove.MAC) bool {
	mac := msg.attribute(unix.NDA_LLADDR)
	if len(mac) == 0 || own.Equal(mac) || msg.fixed[ndmFlags]&unix.NTF_EXT_LEARNED != 0 {
		return false
	}
	if isGroup(msg) && !ofVLANs(mac) {
		return false
	}
	return binary.NativeEndian.Uint16(msg.fixed[ndmState:])&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0
}

// isGroup reports whether an entry is a multicast address that the device listens to.
func isGroup(msg message) bool {
	mac := msg.attribute(unix.NDA_LLADDR)
	return len(mac) > 0 && mac[0]&1 != 0 && msg.fixed[ndmFlags]&unix.NTF_SELF != 0
}

// ofVLANs tells the addresses that the kernel listens to for the VLANs on a device
// as long as there is one (GVRP and MVRP, IEEE 802.1Q), and not again after a move.
func ofVLANs(mac netmove.MAC) bool {
	return slices.Contains([]string{"01:80:c2:00:00:20", "01:80:c2:00:00:21"}, mac.String())
}

// Groups reads the multicast addresses that the device listens to.
func (ns *Namespace) Groups(index int) ([]netmove.Entry, error) {
	msgs, err := ns.neighborDump(unix.AF_BRIDGE, 0, index)
	if is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("multicast addresses of ifindex %d: %w", index, classify(err))
	}
	var list []netmove.Entry
	for _, msg := range msgs {
		if int(u32(msg.fixed[ndmIfindex:])) == index && isGroup(msg) {
			list = append(list, neighborEntry(netmove.TableFDB, msg))
		}
	}
	return list, nil
}

// neighborDump asks for neighbors, filtered by the kernel (ndm_ifindex, and
// NDA_IFINDEX, with NETLINK_GET_STRICT_CHK).
func (ns *Namespace) neighborDump(family, flags uint8, index int) ([]message, error) {
	filter := message{fixed: make([]byte, sizeofNdmsg)}
	filter.fixed[0], filter.fixed[ndmFlags] = family, flags
	if family == unix.AF_BRIDGE {
		binary.NativeEndian.PutUint32(filter.fixed[ndmIfindex:], uint32(index))
	} else {
		filter.add(unix.NDA_IFINDEX, binary.NativeEndian.AppendUint32(nil, uint32(index)))
	}
	dumped, err := ns.dumpOf(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, filter.bytes())
	if err != nil {
		return nil, err
	}
	var msgs []message
	for _, d := range dumped {
		msg, err := parseMessage(d, sizeofNdmsg)
		if err != nil {
			return nil, err
		}
		msgs = append(msgs, msg)
	}
	return msgs, nil
}

// neighborEntry makes an entry of a dumped neighbor.
func neighborEntry(table netmove.Table, msg message) netmove.Entry {
	binary.NativeEndian.PutUint32(msg.fixed[ndmIfindex:], 0)
	msg.fixed[ndmType] = 0
	msg.drop(unix.NDA_CACHEINFO, unix.NDA_PROBES, unix.NDA_MASTER)
	if msg.isManaged() { // what it learns is not a setting
		binary.NativeEndian.PutUint16(msg.fixed[ndmState:], unix.NUD_NONE)
		msg.drop(unix.NDA_LLADDR)
	}
	var b strings.Builder
	dst, ok := netip.AddrFromSlice(msg.attribute(unix.NDA_DST))
	if ok {
		fmt.Fprintf(&b, "%s ", dst)
	}
	if mac := msg.attribute(unix.NDA_LLADDR); mac != nil {
		fmt.Fprintf(&b, "lladdr %s ", net.HardwareAddr(mac))
	}
	if vlan := msg.attribute(unix.NDA_VLAN); len(vlan) == 2 {
		fmt.Fprintf(&b, "vlan %d ", binary.NativeEndian.Uint16(vlan))
	}
	proxy := msg.fixed[ndmFlags]&unix.NTF_PROXY != 0
	if proxy {
		b.WriteString("proxy ")
	}
	return netmove.Entry{Table: table, Text: strings.TrimSpace(b.String()), Message: msg.bytes(), Proxy: proxy, Neighbor: dst}
}

func (ns *Namespace) putNeighbor(index int, e netmove.Entry) error {
	return ns.changeNeighbor(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, e.Message)
}

func (ns *Namespace) dropNeighbor(index int, raw []byte) error {
	return ns.changeNeighbor(unix.RTM_DELNEIGH, 0, index, raw)
}

func (ns *Namespace) changeNeighbor(verb, flags, index int, raw []byte) error {
	msg, err := parseMessage(raw, sizeofNdmsg)
	if err != nil {
		return err
	}
	if msg.fixed[ndmFlags]&unix.NTF_PROXY != 0 {
		// As ip(8) asks for it, which the kernel does not tell: others go with the carrier
		// (pneigh_ifdown).
		binary.NativeEndian.PutUint16(msg.fixed[ndmState:], unix.NUD_PERMANENT)
	}
	binary.NativeEndian.PutUint32(msg.fixed[ndmIfindex:], uint32(index))
	return ns.request(verb, flags, msg.bytes())
}
