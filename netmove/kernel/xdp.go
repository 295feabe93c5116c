package kernel

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Attributes and flags of linux/if_link.h for XDP, which package unix lacks.
const (
	iflaXDPFD       = 1 // IFLA_XDP_FD
	iflaXDPFlags    = 3 // IFLA_XDP_FLAGS
	iflaXDPDriver   = 5 // IFLA_XDP_DRV_PROG_ID
	iflaXDPGeneric  = 6 // IFLA_XDP_SKB_PROG_ID
	iflaXDPHardware = 7 // IFLA_XDP_HW_PROG_ID
	xdpGenericMode  = 1 << 1
	xdpDriverMode   = 1 << 2
	xdpHardwareMode = 1 << 3
	xdpNoProgramFD  = -1 // detaches
)

// detachXDP takes the program of that mode off the device, or ends the link
// that holds it there.
func (ns *Namespace) detachXDP(index int, p netmove.Program, mode uint32) error {
	err := ns.attachXDP(index, xdpNoProgramFD, mode)
	if !is(err, unix.EBUSY) {
		return err
	}
	ended, lerr := ns.endXDPLink(index, p)
	if ended {
		return nil
	}
	return errors.Join(err, lerr)
}

// attachXDP exchanges the program of that mode for the one with the descriptor.
func (ns *Namespace) attachXDP(index, fd int, mode uint32) error {
	xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
	xdp.AddRtAttr(iflaXDPFD, nl.Uint32Attr(uint32(int32(fd))))
	xdp.AddRtAttr(iflaXDPFlags, nl.Uint32Attr(mode))
	return ns.newLink(ifInfo(index), xdp)
}

// endXDPLink ends the link that holds the program, and reports whether the program has
// gone. Where there are more than one that may be it, it stops at the one with which the
// program has gone: what else is held by the others belongs to whose program this is, and
// not to the host, which had another one here.
func (ns *Namespace) endXDPLink(index int, p netmove.Program) (ended bool, err error) {
	ids, err := ns.kernel.xdpLinks(index, p.ID)
	if err != nil {
		return false, fmt.Errorf("look for its link: %w", err)
	}
	for _, id := range ids {
		if err := ns.kernel.detachLink(id); err != nil {
			return false, fmt.Errorf("detach its link %d: %w", id, err)
		}
		l, err := ns.linkByIndex(index)
		if err != nil || !l.hasXDP(p) {
			return err == nil, err
		}
	}
	return false, nil
}

func (l *link) hasXDP(p netmove.Program) bool {
	for _, have := range l.xdp {
		if have.Hook == p.Hook && have.ID == p.ID {
			return true
		}
	}
	return false
}

// setXDP takes over IFLA_XDP.
func (l *link) setXDP(value []byte) error {
	attrs, err := nl.ParseRouteAttr(value)
	for _, a := range attrs {
		var hook netmove.Hook
		switch a.Attr.Type {
		case iflaXDPDriver:
			hook = netmove.XDPDriver
		case iflaXDPGeneric:
			hook = netmove.XDPGeneric
		case iflaXDPHardware:
			hook = netmove.XDPHardware
		default:
			continue
		}
		l.xdp = append(l.xdp, netmove.Program{Hook: hook, ID: u32(a.Value)})
	}
	return err
}
