package kernel

import (
	"fmt"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// shownLosses is how many losses of one kind are told one by one.
const shownLosses = 3

// loss tells what of the device's state, and of the rest of the node's, a move loses and
// nothing puts back, or what does not work meanwhile.
func (ns *Namespace) loss(l *link, dev netmove.Snapshot, routes []string) ([]netmove.Loss, error) {
	var list []netmove.Loss
	for _, kind := range netmove.LossKinds() {
		lost, err := ns.lossOf(kind, l, dev, routes)
		if err != nil {
			return nil, err
		}
		if more := len(lost) - shownLosses; more > 0 {
			lost = append(lost[:shownLosses:shownLosses], fmt.Sprintf("%d more", more))
		}
		if len(lost) > 0 {
			list = append(list, netmove.Loss{Kind: kind, Text: strings.Join(lost, ", ")})
		}
	}
	return list, nil
}

// lossOf tells of the losses of one kind.
func (ns *Namespace) lossOf(kind netmove.LossKind, l *link, dev netmove.Snapshot, routes []string) ([]string, error) {
	switch kind {
	case netmove.LossQdisc:
		return ns.lostTC(dev)
	case netmove.LossRoutes:
		mpls, err := ns.mplsRoutes(dev)
		return append(routes, mpls...), err
	case netmove.LossUppers:
		foreign, err := ns.foreignUppers(l, dev)
		return append(forgetful(dev, l.Role), foreign...), err
	case netmove.LossRDMA:
		return ns.softRDMA(dev)
	case netmove.LossCANGW:
		return ns.canRules(l)
	case netmove.LossDCB:
		return ns.dcbApps(dev)
	case netmove.LossIPsec:
		return ns.offloadedIPsec(dev)
	case netmove.LossNFT:
		return ns.nftHooks(dev)
	case netmove.LossKindOf:
		return unrestorable(dev), nil
	}
	return nil, fmt.Errorf("no loss of kind %q", kind)
}

// forgetful tells of devices on this one that a move of it would do away with.
func forgetful(dev netmove.Snapshot, role netmove.Role) []string {
	var list []string
	for _, u := range dev.Uppers {
		if !outlivesMove(u.Identity.Kind) {
			list = append(list, fmt.Sprintf("%s, of kind %q, is built on it", u.Name, u.Identity.Kind))
		}
	}
	if kind := dev.Master.Kind; dev.Master.Index != 0 && !takesBack(kind) {
		list = append(list, fmt.Sprintf("port of %s, of kind %q", role.PortOf, kind))
	}
	return list
}
