package netmove

import (
	"errors"
	"fmt"
)

// Policy rules belong to the pod's namespace and not to a device, so they do not go when
// the device does. A rule that the pod has already is refused before anything is
// touched: so what is found of the request's later is ours, and is removed with the device.

// checkRules makes sure that the pod has none of the rules.
func (a *Attachment) checkRules(pod Namespace) error {
	var errs []error
	for _, r := range a.Request.Rules {
		has, err := pod.HasRule(r)
		if has {
			err = fmt.Errorf("device %q: rule %s: the pod has it already", a.Before.Name, r)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dropRules removes the rules from the pod, as far as they are there.
func dropRules(pod Namespace, a *Attachment) error {
	var errs []error
	for _, r := range a.Request.Rules {
		if err := pod.DropRule(r); err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, fmt.Errorf("drop rule %s in the pod: %w", r, err))
		}
	}
	return errors.Join(errs...)
}
