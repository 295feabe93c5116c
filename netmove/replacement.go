package netmove

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Replacement is a default route of the pod's that one through a device stands before.
type Replacement struct {
	Index int   `json:"index"` // of the device that carries it
	Was   Entry `json:"was"`
	Now   Entry `json:"now"` // with a worse metric
}

// checkPodRoutes refuses routes that the pod has, unless they are to replace these.
func (a *Attachment) checkPodRoutes(pod Namespace) error {
	var errs []error
	for _, r := range a.Request.Routes {
		if r.ReplaceDefault {
			continue
		}
		has, err := pod.HasRoute(r)
		if has {
			err = fmt.Errorf("device %q: route %s: the pod has one to %s with the same metric and table: choose another metric or table%s", a.Before.Name, r, r.To, r.orReplace())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r RouteRequest) orReplace() string {
	if r.To.Bits() > 0 || r.Table != 0 && r.Table != mainTable {
		return ""
	}
	return ", or say replaceDefault: true"
}

// findReplaced finds the default routes of the pod's that have to stand back, at metrics that
// no route of the plan has.
func (p Plan) findReplaced(pod Namespace, a *Attachment) error {
	a.Replaced = nil
	for _, r := range a.Request.Routes {
		if !r.ReplaceDefault {
			continue
		}
		list, err := pod.Demotions(r.To.Addr().Is6(), r.EffectiveMetric(), p.defaultMetrics(r.To))
		if err != nil {
			return fmt.Errorf("device %q: route %s: default routes of the pod: %w", a.Before.Name, r, err)
		}
		a.Replaced = append(a.Replaced, list...)
	}
	return nil
}

// defaultMetrics are the metrics of the routes to that destination in the main table.
func (p Plan) defaultMetrics(to netip.Prefix) (list []uint32) {
	for _, a := range p {
		for _, r := range a.Request.Routes {
			if r.To == to && cmp.Or(r.Table, mainTable) == mainTable {
				list = append(list, r.EffectiveMetric())
			}
		}
	}
	return list
}

// replaceSteps have the pod's default routes stand back. At no moment is there none.
func (a *Attachment) replaceSteps(pod Namespace) []step {
	var t todo
	for _, r := range a.Replaced {
		t.add(true, "routes", func() error { return existing(pod.PutEntry(r.Index, r.Now)) }, "keep the pod's route %s", r.Now.Text)
		t.add(true, "routes", func() error { return gone(pod.DropEntry(r.Index, r.Was)) }, "drop the pod's route %s", r.Was.Text)
	}
	return t
}

// putBackReplaced gives the pod its default routes back, once the device has left it, the last
// one first.
func (m *Mover) putBackReplaced(pod Namespace, a *Attachment) error {
	var errs []error
	for _, r := range slices.Backward(a.Replaced) {
		err := r.putBack(pod)
		if errors.Is(err, ErrUnreachable) { // no later try can do it, and the device is home
			m.Log.Warn("a default route of the pod's is not put back", "device", a.Before.Name, "route", r.Was.Text, "err", err)
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("put back the pod's default route %s: %w", r.Was.Text, err))
		}
	}
	return errors.Join(errs...)
}

// putBack puts the route back, unless the one with a worse metric is gone: whoever took that
// away meant the route. If the kernel refuses the route, the one with a worse metric stays.
func (r Replacement) putBack(pod Namespace) error {
	put := pod.PutEntry(r.Index, r.Was)
	if err := existing(put); err != nil {
		return err
	}
	err := pod.DropEntry(r.Index, r.Now)
	if put == nil && errors.Is(err, ErrNotFound) {
		err = pod.DropEntry(r.Index, r.Was)
	}
	return gone(err)
}

// existing takes it for success that an entry is there.
func existing(err error) error {
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// gone takes it for success that an entry is not there.
func gone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
