package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// readRole reads what the device does for the node.
func (ns *Namespace) readRole(l *link, dev netmove.Snapshot) error {
	if l.Master.Index != 0 {
		master, err := ns.linkByIndex(l.Master.Index)
		if err != nil {
			return fmt.Errorf("master of %q: %w", l.Name, err)
		}
		l.Role.PortOf = master.Name
	}
	routing, err := ns.Routing()
	if err != nil {
		return err
	}
	routes, err := ns.uplinks(routing)
	if err != nil {
		return err
	}
	addrs := append(addressesOf(dev, unix.AF_INET), addressesOf(dev, unix.AF_INET6)...)
	routes.role(&l.Role, l.Identity.Index, addrs)
	l.Rules = netmove.RulesAbout(routing.Rules, addrs)
	return nil
}

// ownRoutes reads the routes through the device, by family.
func (ns *Namespace) ownRoutes(index int) (map[uint8][][]byte, error) {
	own := map[uint8][][]byte{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		msgs, err := ns.routeMessages(index, family)
		if err != nil {
			return nil, fmt.Errorf("routes of ifindex %d: %w", index, classify(err))
		}
		own[family] = msgs
	}
	return own, nil
}
