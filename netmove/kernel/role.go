package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// readRole reads what the device does for the node.
func (s *survey) readRole(l *link, dev *netmove.Snapshot) error {
	if l.Master.Index != 0 {
		master, err := s.ns.linkByIndex(l.Master.Index)
		if err != nil {
			return fmt.Errorf("master of %q: %w", l.Name, err)
		}
		l.Role.PortOf = master.Name
	}
	addrs := append(addressesOf(*dev, unix.AF_INET), addressesOf(*dev, unix.AF_INET6)...)
	s.routes.uplinks.role(&l.Role, l.Identity.Index, addrs)
	l.Rules = netmove.RulesAbout(s.routes.Rules, addrs)
	return nil
}
