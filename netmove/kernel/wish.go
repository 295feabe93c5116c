package kernel

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// AddRoute makes a route through the device.
func (ns *Namespace) AddRoute(index int, r netmove.RouteRequest) error {
	msg := message{fixed: make([]byte, unix.SizeofRtMsg)}
	rt := unix.RtMsg{
		Family: family(r.To.Addr().Is6()), Dst_len: uint8(r.To.Bits()),
		Table: smallTable(r.Table, unix.RT_TABLE_MAIN), Protocol: unix.RTPROT_STATIC,
		Scope: uint8(r.Scope), Type: unix.RTN_UNICAST,
	}
	if r.OnLink {
		rt.Flags = unix.RTNH_F_ONLINK
	}
	if _, err := binary.Encode(msg.fixed, binary.NativeEndian, rt); err != nil {
		return err
	}
	if r.To.Bits() > 0 {
		msg.add(unix.RTA_DST, r.To.Addr().AsSlice())
	}
	if r.Via.IsValid() {
		msg.add(gateway(r))
	}
	if r.Src.IsValid() {
		msg.add(unix.RTA_PREFSRC, r.Src.AsSlice())
	}
	msg.addNumber(unix.RTA_PRIORITY, r.Metric)
	msg.addNumber(unix.RTA_TABLE, r.Table)
	msg.addNumber(unix.RTA_OIF, uint32(index))
	return ns.create(unix.RTM_NEWROUTE, msg)
}

// gateway is the attribute for the route's next hop: one of another family is told with that
// (struct rtvia).
func gateway(r netmove.RouteRequest) (typ uint16, value []byte) {
	if r.Via.Is6() == r.To.Addr().Is6() {
		return unix.RTA_GATEWAY, r.Via.AsSlice()
	}
	via := binary.NativeEndian.AppendUint16(nil, uint16(family(r.Via.Is6())))
	return unix.RTA_VIA, append(via, r.Via.AsSlice()...)
}

// AddNeighbor makes a permanent neighbor on the device.
func (ns *Namespace) AddNeighbor(index int, n netmove.NeighborRequest) error {
	msg := message{fixed: make([]byte, sizeofNdmsg)}
	msg.fixed[0] = family(n.IP.Is6())
	binary.NativeEndian.PutUint32(msg.fixed[ndmIfindex:], uint32(index))
	binary.NativeEndian.PutUint16(msg.fixed[ndmState:], unix.NUD_PERMANENT)
	msg.add(unix.NDA_DST, n.IP.AsSlice())
	msg.add(unix.NDA_LLADDR, n.MAC)
	return ns.create(unix.RTM_NEWNEIGH, msg)
}

// create makes an entry that is not there yet.
func (ns *Namespace) create(verb int, msg message) error {
	err := ns.request(verb, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg.bytes())
	if is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %w", netmove.ErrExists, err)
	}
	return err
}

// addNumber adds a number of 32 bits, unless it is 0.
func (m *message) addNumber(typ uint16, n uint32) {
	if n != 0 {
		m.add(typ, binary.NativeEndian.AppendUint32(nil, n))
	}
}

func family(is6 bool) uint8 {
	if is6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// smallTable is what stands in the eight bits of a header for a table: the attribute
// tells those that do not fit.
func smallTable(table uint32, absent uint8) uint8 {
	switch {
	case table == 0:
		return absent
	case table > 0xff:
		return unix.RT_TABLE_UNSPEC
	}
	return uint8(table)
}
