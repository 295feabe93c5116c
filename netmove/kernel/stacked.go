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
	xdpNoProgramFD  = ^uint32(0) // -1 detaches
)

// Uppers reads the devices of the namespace that are built on the given one,
// but not its master.
func (ns *Namespace) Uppers(index int) ([]netmove.Snapshot, error) {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return nil, err
	}
	dir, err := ns.identifyIn(&l)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := uppers(dir)
	if err != nil {
		return nil, err
	}
	var list []netmove.Snapshot
	for _, name := range names {
		upper, err := ns.Link(name)
		if errors.Is(err, netmove.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if upper.Identity.Index != l.Master.Index {
			list = append(list, upper)
		}
	}
	return list, nil
}

// Delete deletes a device.
func (ns *Namespace) Delete(index int) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(ifInfo(index))
	_, err := ns.exchange(req, 0)
	return classify(err)
}

// DetachXDP takes the XDP programs of the given modes off the device.
func (ns *Namespace) DetachXDP(index int, modes netmove.XDP) error {
	var errs []error
	for _, m := range []struct {
		program uint32
		flag    uint32
	}{{modes.Generic, xdpGenericMode}, {modes.Driver, xdpDriverMode}, {modes.Hardware, xdpHardwareMode}} {
		if m.program == 0 {
			continue
		}
		xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
		xdp.AddRtAttr(iflaXDPFD, nl.Uint32Attr(xdpNoProgramFD))
		xdp.AddRtAttr(iflaXDPFlags, nl.Uint32Attr(m.flag))
		if err := ns.newLink(ifInfo(index), xdp); err != nil {
			errs = append(errs, fmt.Errorf("XDP program %d: %w", m.program, err))
		}
	}
	return errors.Join(errs...)
}

// setXDP takes over IFLA_XDP.
func (l *link) setXDP(value []byte) error {
	attrs, err := nl.ParseRouteAttr(value)
	for _, a := range attrs {
		switch a.Attr.Type {
		case iflaXDPDriver:
			l.XDP.Driver = u32(a.Value)
		case iflaXDPGeneric:
			l.XDP.Generic = u32(a.Value)
		case iflaXDPHardware:
			l.XDP.Hardware = u32(a.Value)
		}
	}
	return err
}
