package kernel

import (
	"errors"
	"os"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// survey is a look at what decides whether devices may move. Of what is not a device's alone
// there may be much, so it is gone through once for all of them.
type survey struct {
	ns      *Namespace
	devices []netmove.Snapshot

	// What was found for all of them; nil before that.
	routes    *nodeRoutes
	elsewhere map[int][]upper // devices of other namespaces, by the one that they are built on
}

// Survey prepares a look at devices.
func (ns *Namespace) Survey(devices ...netmove.Snapshot) netmove.Survey {
	return &survey{ns: ns, devices: devices}
}

// Facts reads what decides whether the device may move.
func (s *survey) Facts(dev *netmove.Snapshot) (netmove.Facts, error) {
	return s.look(dev, func(l *link, dir *os.File) error {
		lost, err := s.role(l, dev, dir)
		if err != nil {
			return err
		}
		if err := s.ns.readLower(l); err != nil {
			return err
		}
		l.Loss, err = s.loss(l, *dev, lost)
		return err
	})
}

// Role reads what the device does for the node.
func (s *survey) Role(dev *netmove.Snapshot) (netmove.Role, error) {
	facts, err := s.look(dev, func(l *link, dir *os.File) error {
		_, err := s.role(l, dev, dir)
		return err
	})
	return facts.Role, err
}

// look reads the device anew, and by its folder in sysfs what read reads.
func (s *survey) look(dev *netmove.Snapshot, read func(*link, *os.File) error) (netmove.Facts, error) {
	var l link
	err := undisturbed(func() (err error) {
		if l, err = s.ns.again(*dev); err != nil {
			return err
		}
		dir, err := s.ns.identifyIn(&l)
		if err == nil {
			err = errors.Join(read(&l, dir), dir.Close())
		}
		return s.ns.notGone(l, err)
	})
	return l.Facts, err
}

// role reads what the device, whose folder in sysfs is open, does for the node, and tells of
// the routes that are lost with it.
func (s *survey) role(l *link, dev *netmove.Snapshot, dir *os.File) (lost told, err error) {
	if s.routes == nil {
		if s.routes, err = s.ns.nodeRoutes(s.devices); err != nil {
			return lost, err
		}
	}
	st := s.routes.stakes[dev.Identity.Index]
	if st.err != nil {
		return lost, st.err
	}
	if err := s.readRole(l, dev); err != nil {
		return lost, err
	}
	if err := s.ns.readBound(l, dir); err != nil {
		return lost, err
	}
	if lost, err = s.ns.readOthersRoutes(dev, st); err != nil {
		return lost, err
	}
	lost.addAll(st.own.split)
	return lost, s.ns.place(*dev, st.beside)
}
