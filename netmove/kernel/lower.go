package kernel

import (
	"errors"
	"fmt"

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
	if kind := l.Identity.Kind; kind == "vlan" || isMacvlan(kind) {
		l.Lower.MTU = lower.MTU // vlan_dev_change_mtu, macvlan_change_mtu
	}
	return nil
}
