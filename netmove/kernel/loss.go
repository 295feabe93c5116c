package kernel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// told is what is told of the losses of one kind: a device may lose a million routes.
type told struct {
	texts []string // the first few
	more  int
}

// shownLosses is how many of one kind are told one by one.
const shownLosses = 3

// add tells of one more.
func (t *told) add(text func() string) {
	if len(t.texts) < shownLosses {
		t.texts = append(t.texts, text())
	} else {
		t.more++
	}
}

// addAll tells of others, too.
func (t *told) addAll(others told) {
	for _, text := range others.texts {
		t.add(func() string { return text })
	}
	t.more += others.more
}

// all tells of those in a list.
func all(texts []string, err error) (t told, _ error) {
	t.addAll(told{texts: texts})
	return t, err
}

func (t *told) String() string {
	if t.more == 0 {
		return strings.Join(t.texts, ", ")
	}
	return strings.Join(append(slices.Clone(t.texts), fmt.Sprintf("%d more", t.more)), ", ")
}

// loss tells what of the device's state, and of the rest of the node's, a move loses and
// nothing puts back, or what does not work meanwhile.
func (s *survey) loss(l *link, dev netmove.Snapshot, routes told) ([]netmove.Loss, error) {
	var list []netmove.Loss
	for _, kind := range netmove.LossKinds() {
		lost, err := s.lossOf(kind, l, dev, routes)
		if err != nil {
			return nil, err
		}
		if text := lost.String(); text != "" {
			list = append(list, netmove.Loss{Kind: kind, Text: text})
		}
	}
	return list, nil
}

// lossOf tells of the losses of one kind.
func (s *survey) lossOf(kind netmove.LossKind, l *link, dev netmove.Snapshot, routes told) (told, error) {
	ns := s.ns
	switch kind {
	case netmove.LossQdisc:
		return all(ns.lostTC(dev))
	case netmove.LossRoutes:
		mpls, err := ns.mplsRoutes(dev)
		routes.addAll(mpls)
		return routes, err
	case netmove.LossUppers:
		foreign, err := s.foreignUppers(l, dev)
		if err != nil {
			return told{}, err
		}
		ports, err := ns.backedUp(dev)
		return all(slices.Concat(forgetful(dev, l.Role), ports, foreign), err)
	case netmove.LossRDMA:
		return all(ns.softRDMA(dev))
	case netmove.LossCANGW:
		return all(ns.canRules(l))
	case netmove.LossDCB:
		return all(ns.dcbApps(dev))
	case netmove.LossIPsec:
		return all(ns.offloadedIPsec(dev))
	case netmove.LossNFT:
		return all(ns.nftHooks(dev))
	case netmove.LossKindOf:
		return all(unrestorable(dev), nil)
	}
	return told{}, fmt.Errorf("no loss of kind %q", kind)
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
