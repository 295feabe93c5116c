package kernel

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// readLower reads the device of the namespace that this one is built on.
func (ns *Namespace) readLower(l *link) error {
	index := l.standsOn()
	if index == 0 || l.lowerForeign {
		return nil
	}
	lower, err := ns.linkByIndex(index)
	if errors.Is(err, netmove.ErrNotFound) {
		return nil // it has just gone
	}
	if err != nil {
		return fmt.Errorf("device below %q: %w", l.Name, err)
	}
	l.Lower.Name = lower.Name
	switch kind := l.Identity.Kind; {
	case kind == "vlan", isMacvlan(kind):
		l.Lower.MTU = lower.MTU // vlan_dev_change_mtu, macvlan_change_mtu
	case kind == "vxlan" && l.kindOption(kind, unix.IFLA_VXLAN_GPE) == nil:
		l.Lower.MTU = max(lower.MTU-l.vxlanHeaders(), l.MinMTU) // vxlan_change_mtu
	}
	return nil
}

// vxlanHeaders is how many bytes a vxlan that is none of GPE puts before a frame's content.
func (l *link) vxlanHeaders() int {
	const ipv4, ipv6, udp, vxlan, ethernet = 20, 40, 8, 8, 14
	ip := ipv4
	for _, typ := range []uint16{unix.IFLA_VXLAN_GROUP6, unix.IFLA_VXLAN_LOCAL6} {
		if !bytes.Equal(l.kindOption("vxlan", typ), make([]byte, net6)) {
			ip = ipv6
		}
	}
	return ip + udp + vxlan + ethernet
}
