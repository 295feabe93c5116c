package kernel

import (
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Routes with prefixes up to these lengths count as default routes: tunnels
// and VPNs split the default into 0.0.0.0/1 and 128.0.0.0/1, or route all
// global IPv6, 2000::/3.
const (
	maxDefaultLen4 = 1
	maxDefaultLen6 = 3
)

// readRole fills in what the device does for the node.
func (ns *Namespace) readRole(l *link, dir *os.File) error {
	if l.Master.Index != 0 {
		master, err := ns.linkByIndex(l.Master.Index)
		if err == nil {
			err = ns.identify(&master)
		}
		if err != nil {
			return fmt.Errorf("master of %q: %w", l.Name, err)
		}
		l.Role.PortOf, l.Master = master.Name, master.Identity
	}
	var err error
	l.Role.DefaultRoute, err = ns.defaultRouteOn(l.Name, l.Identity.Index, dir, map[int]bool{})
	return err
}

// defaultRouteOn returns the name of the device that carries a default route
// and is the given one or one built on it.
func (ns *Namespace) defaultRouteOn(name string, index int, dir *os.File, seen map[int]bool) (string, error) {
	if seen[index] {
		return "", nil
	}
	seen[index] = true
	for family, maxLen := range map[uint8]uint8{unix.AF_INET: maxDefaultLen4, unix.AF_INET6: maxDefaultLen6} {
		carries, err := ns.carriesDefault(index, family, maxLen)
		if carries || err != nil {
			return name, err
		}
	}
	above, err := uppers(dir)
	if err != nil {
		return "", err
	}
	for _, upper := range above {
		if found, err := ns.defaultRouteOnUpper(upper, seen); found != "" || err != nil {
			return found, err
		}
	}
	return "", nil
}

func (ns *Namespace) defaultRouteOnUpper(name string, seen map[int]bool) (string, error) {
	dir, err := ns.sysfs.device(name)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	index, err := ifindex(dir)
	if err != nil {
		return "", err
	}
	return ns.defaultRouteOn(name, index, dir, seen)
}

// carriesDefault reports whether a default route goes through the device.
func (ns *Namespace) carriesDefault(index int, family, maxLen uint8) (bool, error) {
	msgs, err := ns.routeMessages(index, family)
	if err != nil {
		return false, fmt.Errorf("routes of ifindex %d: %w", index, classify(err))
	}
	for _, msg := range msgs {
		if len(msg) < unix.SizeofRtMsg {
			return false, fmt.Errorf("routes of ifindex %d: short RTM_NEWROUTE", index)
		}
		rt := nl.DeserializeRtMsg(msg)
		if rt.Family == family && rt.Type == unix.RTN_UNICAST && rt.Dst_len <= maxLen {
			return true, nil
		}
	}
	return false, nil
}
