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

// What package unix lacks of linux/neighbour.h.
const (
	ndaNHID        = 13 // NDA_NH_ID
	ndaLinkNetnsID = 10 // NDA_LINK_NETNSID
)

// vxlanKind is the kind of device whose tables travel with it.
const vxlanKind = "vxlan"

// vxlanFDB reads where a vxlan sends frames to: an entry for each address and remote. What
// it has learned is left out, and ages. One that is down has learned nothing: what ages there,
// somebody has put.
func (ns *Namespace) vxlanFDB(dev *link) ([]netmove.Entry, error) {
	if dev.Identity.Kind != vxlanKind {
		return nil, nil
	}
	index := dev.Identity.Index
	msgs, err := ns.neighborDump(unix.AF_BRIDGE, 0, index)
	if err != nil {
		return nil, err
	}
	var list []netmove.Entry
	for _, msg := range msgs {
		state := binary.NativeEndian.Uint16(msg.fixed[ndmState:])
		ofDevice := int(u32(msg.fixed[ndmIfindex:])) == index && msg.fixed[ndmFlags]&unix.NTF_SELF != 0
		if ofDevice && (state&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 || !dev.Flags.Up) {
			list = append(list, vxlanEntry(msg))
		}
	}
	return list, nil
}

// vxlanEntry makes an entry of a dumped one. Interfaces that it names are those of the
// namespace below the vxlan.
func vxlanEntry(msg message) netmove.Entry {
	binary.NativeEndian.PutUint32(msg.fixed[ndmIfindex:], 0)
	msg.fixed[ndmType] = 0
	msg.fixed[ndmFlags] &^= unix.NTF_OFFLOADED
	state := binary.NativeEndian.Uint16(msg.fixed[ndmState:])
	if state&unix.NUD_PERMANENT != 0 { // that of the remote which is an option is reachable, too, to no effect
		state = unix.NUD_PERMANENT
	}
	binary.NativeEndian.PutUint16(msg.fixed[ndmState:], state)
	// How the namespace below is called in this one depends on the one that is asked.
	msg.drop(unix.NDA_CACHEINFO, unix.NDA_PROBES, unix.NDA_MASTER, ndaLinkNetnsID)
	if msg.attribute(unix.NDA_LLADDR) == nil {
		msg.add(unix.NDA_LLADDR, make([]byte, 6)) // not told of the one for what has no entry
	}
	return netmove.Entry{Table: netmove.TableVXLAN, Text: vxlanText(msg), Message: msg.bytes()}
}

// vxlanText is the entry as bridge(8) has it.
func vxlanText(msg message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", net.HardwareAddr(msg.attribute(unix.NDA_LLADDR)))
	if dst, ok := netip.AddrFromSlice(msg.attribute(unix.NDA_DST)); ok {
		fmt.Fprintf(&b, " dst %s", dst)
	}
	if port := msg.attribute(unix.NDA_PORT); len(port) == 2 {
		fmt.Fprintf(&b, " port %d", binary.BigEndian.Uint16(port))
	}
	for _, a := range []struct {
		typ  uint16
		name string
	}{{unix.NDA_VNI, "vni"}, {unix.NDA_IFINDEX, "via ifindex"}, {unix.NDA_SRC_VNI, "src_vni"}, {ndaNHID, "nhid"}} {
		if v := msg.attribute(a.typ); len(v) == 4 {
			fmt.Fprintf(&b, " %s %d", a.name, u32(v))
		}
	}
	return b.String()
}

// putVXLAN makes an entry. An address has one remote, but for groups and for zero, which
// is what has no entry.
func (ns *Namespace) putVXLAN(index int, e netmove.Entry) error {
	msg, err := vxlanMessage(index, e.Message)
	if err != nil {
		return err
	}
	flags := unix.NLM_F_CREATE
	if mac := msg.attribute(unix.NDA_LLADDR); mac[0]&1 != 0 || !slices.ContainsFunc(mac, func(b byte) bool { return b != 0 }) {
		flags |= unix.NLM_F_APPEND
	} else {
		flags |= unix.NLM_F_EXCL
	}
	if msg.attribute(unix.NDA_DST) != nil || msg.attribute(ndaNHID) != nil {
		return ns.request(unix.RTM_NEWNEIGH, flags, msg.bytes())
	}
	// A remote that is no address is asked for, in the family of the vxlan, and not told.
	for _, none := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		msg.drop(unix.NDA_DST)
		msg.add(unix.NDA_DST, none.AsSlice())
		if err = ns.request(unix.RTM_NEWNEIGH, flags, msg.bytes()); !is(err, unix.EAFNOSUPPORT) {
			break
		}
	}
	return err
}

// dropVXLAN removes an entry. The kernel takes no interface that is not there, such as one
// that a pod had: then all remotes of the address go, and those that are to stay are missed.
func (ns *Namespace) dropVXLAN(index int, raw []byte) error {
	msg, err := vxlanMessage(index, raw)
	if err != nil {
		return err
	}
	err = ns.request(unix.RTM_DELNEIGH, 0, msg.bytes())
	if is(err, unix.EADDRNOTAVAIL) && msg.attribute(unix.NDA_IFINDEX) != nil {
		msg.drop(unix.NDA_DST, unix.NDA_PORT, unix.NDA_VNI, unix.NDA_IFINDEX)
		err = ns.request(unix.RTM_DELNEIGH, 0, msg.bytes())
	}
	return err
}

func vxlanMessage(index int, raw []byte) (message, error) {
	msg, err := parseMessage(raw, sizeofNdmsg)
	if err == nil && len(msg.attribute(unix.NDA_LLADDR)) == 0 {
		err = fmt.Errorf("entry without an address")
	}
	if err != nil {
		return msg, err
	}
	binary.NativeEndian.PutUint32(msg.fixed[ndmIfindex:], uint32(index))
	return msg, nil
}
