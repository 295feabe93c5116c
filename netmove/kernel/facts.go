package kernel

import (
	"errors"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Facts reads what decides whether the device may move.
func (ns *Namespace) Facts(dev netmove.Snapshot) (netmove.Facts, error) {
	var l link
	err := undisturbed(func() (err error) {
		if l, err = ns.again(dev); err != nil {
			return err
		}
		return ns.notGone(l, ns.facts(&l, dev))
	})
	return l.Facts, err
}

func (ns *Namespace) facts(l *link, dev netmove.Snapshot) (err error) {
	dir, err := ns.identifyIn(l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := ns.readLower(l); err != nil {
		return err
	}
	own, err := ns.ownRoutes(l.Identity.Index)
	if err != nil {
		return err
	}
	if err := ns.readRole(l, dev); err != nil {
		return err
	}
	if err := ns.readBound(l, dir); err != nil {
		return err
	}
	lost, err := ns.readOthersRoutes(l, dev, own)
	if err != nil {
		return err
	}
	l.Loss, err = ns.loss(l, dev, lost)
	return err
}
