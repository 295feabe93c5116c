package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// table is how the entries of one of the kernel's tables are read, made and removed.
type table struct {
	read func(ns *Namespace, l *link) ([]netmove.Entry, error)
	put  func(ns *Namespace, index int, e netmove.Entry) error
	drop func(ns *Namespace, index int, msg []byte) error
}

// tables are in the order in which entries can be made: a route needs its
// nexthop object.
func tables() map[netmove.Table]table {
	return map[netmove.Table]table{
		netmove.TableVLAN:     {(*Namespace).vlans, (*Namespace).putVLAN, (*Namespace).dropVLAN},
		netmove.TableFDB:      {(*Namespace).fdb, (*Namespace).putNeighbor, (*Namespace).dropNeighbor},
		netmove.TableMDB:      {(*Namespace).mdb, (*Namespace).putMDB, (*Namespace).dropMDB},
		netmove.TableVNI:      {(*Namespace).vnis, (*Namespace).putVNI, (*Namespace).dropVNI},
		netmove.TableVXLAN:    {(*Namespace).vxlanFDB, (*Namespace).putVXLAN, (*Namespace).dropVXLAN},
		netmove.TableVXLANMDB: {(*Namespace).vxlanMDB, (*Namespace).putVXLANMDB, (*Namespace).dropVXLANMDB},
		netmove.TablePRL:      {(*Namespace).prl, (*Namespace).putPRL, (*Namespace).dropPRL},
		netmove.TableQdisc:    {(*Namespace).qdiscs, (*Namespace).putQdisc, (*Namespace).dropQdisc},
		netmove.TableNexthop:  {(*Namespace).nexthops, (*Namespace).putNexthop, (*Namespace).dropNexthop},
		netmove.TableRoute:    {(*Namespace).routes, (*Namespace).putRoute, (*Namespace).dropRoute},
		netmove.TableNeighbor: {(*Namespace).neighbors, (*Namespace).putNeighbor, (*Namespace).dropNeighbor},
		netmove.TableRule:     {nil, (*Namespace).putRule, (*Namespace).dropRule}, // no device's
	}
}

// entries reads what somebody has made for the device in the kernel's tables.
func (ns *Namespace) entries(l *link) ([]netmove.Entry, error) {
	var list []netmove.Entry
	all := tables()
	for _, name := range netmove.Tables() {
		found, err := all[name].read(ns, l)
		if err != nil {
			return nil, fmt.Errorf("%s entries of ifindex %d: %w", name, l.Identity.Index, classify(err))
		}
		list = append(list, found...)
	}
	return list, nil
}

// PutEntry makes the entry.
func (ns *Namespace) PutEntry(index int, e netmove.Entry) error {
	t, ok := tables()[e.Table]
	if !ok {
		return fmt.Errorf("no table %q", e.Table)
	}
	err := t.put(ns, index, e)
	switch {
	case is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", netmove.ErrExists, err)
	case e.Table == netmove.TableRoute && is(err, unix.ENODEV, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTUNREACH,
		unix.EINVAL, unix.EACCES, unix.ENOMEM):
		return fmt.Errorf("%w: %w", netmove.ErrUnreachable, err)
	}
	return err
}

// DropEntry removes the entry.
func (ns *Namespace) DropEntry(index int, e netmove.Entry) error {
	t, ok := tables()[e.Table]
	if !ok {
		return fmt.Errorf("no table %q", e.Table)
	}
	err := t.drop(ns, index, e.Message)
	if is(err, unix.ENOENT, unix.ESRCH) {
		return fmt.Errorf("%w: %w", netmove.ErrNotFound, err)
	}
	return err
}

// request sends one message that changes something.
func (ns *Namespace) request(verb, flags int, msg []byte) error {
	req := nl.NewNetlinkRequest(verb, unix.NLM_F_ACK|flags)
	req.AddRawData(msg)
	_, err := ns.exchange(req, 0)
	return err
}

// attribute is one of a message's.
type attribute = syscall.NetlinkRouteAttr

// message is one of rtnetlink's: a fixed part, and attributes.
type message struct {
	fixed []byte
	attrs []attribute
}

func parseMessage(msg []byte, fixed int) (message, error) {
	if len(msg) < fixed {
		return message{}, fmt.Errorf("message of %d bytes, want %d at least", len(msg), fixed)
	}
	msg = slices.Clone(msg) // what is parsed is changed in place
	attrs, err := nl.ParseRouteAttr(msg[fixed:])
	return message{msg[:fixed], attrs}, err
}

func (m *message) add(typ uint16, value []byte) {
	m.attrs = append(m.attrs, attribute{Attr: syscall.RtAttr{Type: typ}, Value: value})
}

// attribute is the value of the first attribute of that type, nil without one.
func (m *message) attribute(typ uint16) []byte {
	for _, a := range m.attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == typ {
			return a.Value
		}
	}
	return nil
}

// findAttribute is the value of the first attribute of that type, nil without one. It is
// what message.attribute is, without taking all of them apart.
func findAttribute(attrs []byte, typ uint16) []byte {
	for len(attrs) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < unix.SizeofRtAttr || size > len(attrs) {
			return nil
		}
		if binary.NativeEndian.Uint16(attrs[2:])&nl.NLA_TYPE_MASK == typ {
			return attrs[unix.SizeofRtAttr:size]
		}
		attrs = attrs[min(aligned(size), len(attrs)):]
	}
	return nil
}

// drop takes attributes away.
func (m *message) drop(types ...uint16) {
	m.attrs = slices.DeleteFunc(m.attrs, func(a attribute) bool {
		return slices.Contains(types, a.Attr.Type&nl.NLA_TYPE_MASK)
	})
}

// bytes is the message as it is sent.
func (m *message) bytes() []byte {
	out := slices.Clone(m.fixed)
	for _, a := range m.attrs {
		out = append(out, nl.NewRtAttr(int(a.Attr.Type), a.Value).Serialize()...)
	}
	return out
}

// exchangeIndex puts one ifindex in the place of another.
func exchangeIndex(b []byte, from, to int) {
	if len(b) >= 4 && u32(b) == uint32(from) {
		binary.NativeEndian.PutUint32(b, uint32(to))
	}
}

// madeByProgram reports whether entries with that protocol (rtm_protocol) are
// made by the kernel or by a program that learns them from others, which makes
// them again when the device is there again: routing daemons do.
func madeByProgram(protocol uint8) bool {
	switch protocol {
	case unix.RTPROT_REDIRECT, unix.RTPROT_KERNEL, unix.RTPROT_GATED, unix.RTPROT_RA, unix.RTPROT_MRT,
		unix.RTPROT_ZEBRA, unix.RTPROT_BIRD, unix.RTPROT_DNROUTED, unix.RTPROT_XORP, unix.RTPROT_NTK,
		unix.RTPROT_MROUTED, unix.RTPROT_BABEL, unix.RTPROT_OPENR, unix.RTPROT_BGP, unix.RTPROT_ISIS,
		unix.RTPROT_OSPF, unix.RTPROT_RIP, unix.RTPROT_EIGRP, unix.RTPROT_OVN:
		return true
	}
	return false
}
