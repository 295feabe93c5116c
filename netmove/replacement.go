package netmove

import (
	"errors"
	"fmt"
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

// findReplaced finds the default routes of the pod's that have to stand back.
func (a *Attachment) findReplaced(pod Namespace) error {
	a.Replaced = nil
	for _, r := range a.Request.Routes {
		if !r.ReplaceDefault {
			continue
		}
		list, err := pod.Demotions(r.To.Addr().Is6(), r.EffectiveMetric())
		if err != nil {
			return fmt.Errorf("device %q: route %s: default routes of the pod: %w", a.Before.Name, r, err)
		}
		a.Replaced = append(a.Replaced, list...)
	}
	return nil
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

// putBackReplaced gives the pod its default routes back, once the device has left it. One whose
// device is gone or down is gone as well.
func putBackReplaced(pod Namespace, a *Attachment) error {
	var errs []error
	for _, r := range a.Replaced {
		err := existing(pod.PutEntry(r.Index, r.Was))
		if errors.Is(err, ErrUnreachable) {
			err = nil
		}
		if err == nil {
			err = gone(pod.DropEntry(r.Index, r.Now))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("put back the pod's default route %s: %w", r.Was.Text, err))
		}
	}
	return errors.Join(errs...)
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
