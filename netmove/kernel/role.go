package kernel

import (
	"errors"
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

// readRole reads what the device, whose folder in sysfs is open, does for the node.
func (ns *Namespace) readRole(l *link, dir *os.File, own map[uint8][][]byte) (err error) {
	if l.Master.Index != 0 {
		master, err := ns.linkByIndex(l.Master.Index)
		if err != nil {
			return fmt.Errorf("master of %q: %w", l.Name, err)
		}
		l.Role.PortOf = master.Name
	}
	for family := range defaultLens() {
		carries, err := hasDefault(own[family], family)
		if carries || err != nil {
			l.Role.DefaultRoute = l.Name
			return err
		}
	}
	l.Role.DefaultRoute, err = ns.defaultRouteAbove(dir, map[int]bool{l.Identity.Index: true})
	return err
}

// ownRoutes reads the routes through the device, by family.
func (ns *Namespace) ownRoutes(index int) (map[uint8][][]byte, error) {
	own := map[uint8][][]byte{}
	for family := range defaultLens() {
		msgs, err := ns.routeMessages(index, family)
		if err != nil {
			return nil, fmt.Errorf("routes of ifindex %d: %w", index, classify(err))
		}
		own[family] = msgs
	}
	return own, nil
}

// defaultLens are the lengths by family.
func defaultLens() map[uint8]uint8 {
	return map[uint8]uint8{unix.AF_INET: maxDefaultLen4, unix.AF_INET6: maxDefaultLen6}
}

// defaultRouteOn returns the name of the device that carries a default route
// and is the given one or one built on it.
func (ns *Namespace) defaultRouteOn(name string, index int, dir *os.File, seen map[int]bool) (string, error) {
	if seen[index] {
		return "", nil
	}
	seen[index] = true
	own, err := ns.ownRoutes(index)
	if err != nil {
		return "", err
	}
	for family := range defaultLens() {
		carries, err := hasDefault(own[family], family)
		if carries || err != nil {
			return name, err
		}
	}
	return ns.defaultRouteAbove(dir, seen)
}

// defaultRouteAbove checks the devices stacked on the one at dir.
func (ns *Namespace) defaultRouteAbove(dir *os.File, seen map[int]bool) (string, error) {
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

// hasDefault reports whether one of the routes is a default route.
func hasDefault(msgs [][]byte, family uint8) (bool, error) {
	for _, msg := range msgs {
		if len(msg) < unix.SizeofRtMsg {
			return false, errors.New("short RTM_NEWROUTE")
		}
		if msg[0] == family && isDefaultRoute(msg) {
			return true, nil
		}
	}
	return false, nil
}

// isDefaultRoute reports whether the message, which begins with a struct rtmsg, is about a
// default route.
func isDefaultRoute(msg []byte) bool {
	rt := nl.DeserializeRtMsg(msg)
	maxLen, ok := defaultLens()[rt.Family]
	return ok && rt.Type == unix.RTN_UNICAST && rt.Dst_len <= maxLen
}
