package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Claimed reports whether claims are prepared for the pod. It costs one load and one
// look-up, since it is asked for every pod.
func (t *Table) Claimed(podUID string) bool { return len(t.journal.Reserved(podUID)) > 0 }

// IsOurs reports whether a qualified CDI name is of a device of a claim.
func IsOurs(cdi string) bool { return strings.HasPrefix(cdi, CDIKind+"=") }

// CheckCDI refuses a container of a pod that asks for a device of a claim that is not
// prepared for the pod: the kubelet prepares a claim for the first of its pods alone.
func (t *Table) CheckCDI(podUID, cdi string) error {
	name := strings.TrimPrefix(cdi, CDIKind+"=")
	has := func(r *journal.Reservation) bool {
		return slices.ContainsFunc(r.Devices, func(d journal.Reserved) bool { return d.CDI == name })
	}
	if slices.ContainsFunc(t.journal.Reserved(podUID), has) {
		return nil
	}
	all := t.journal.Reservations()
	if i := slices.IndexFunc(all, has); i >= 0 {
		return fmt.Errorf("claim %s is for pod %s: a network device is in one pod at a time, so that other pods of the claim wait for its end; use a claim template for a claim of each pod's own", all[i].Claim, all[i].Pod)
	}
	return fmt.Errorf("CDI device %q is of a claim that is not prepared on this node: delete the pod, so that it starts anew", cdi)
}

// openGate writes the CDI specifications of a sandbox's claims. If one cannot be written, the
// others are there, and closeGate removes them.
func (t *Table) openGate(r *journal.Record) error {
	var errs []error
	for _, claim := range r.Claims {
		res, ok := t.journal.Reservation(claim)
		if !ok {
			continue // it was let go of: the pod lacks a device then
		}
		if names, has := namesInPod(r, res); has {
			errs = append(errs, t.specs.write(res, names))
		}
	}
	return errors.Join(errs...)
}

// closeGate removes the CDI specifications of a sandbox's claims. The pod's next sandbox has
// them only after all devices of the claims have left this one.
func (t *Table) closeGate(r *journal.Record) error {
	var errs []error
	for _, claim := range r.Claims {
		errs = append(errs, t.specs.remove(claim))
	}
	return errors.Join(errs...)
}

// tendGate makes the CDI specifications of an attached sandbox what its record says. The
// caller holds the sandbox's lock.
func (t *Table) tendGate(r *journal.Record) error {
	var errs []error
	for _, claim := range r.Claims {
		res, ok := t.journal.Reservation(claim)
		var names []string
		if ok {
			names, ok = namesInPod(r, res)
		}
		switch there := t.specs.has(claim); {
		case ok && !there:
			errs = append(errs, t.specs.write(res, names))
		case !ok && there:
			errs = append(errs, t.specs.remove(claim))
		}
	}
	return errors.Join(errs...)
}

// namesInPod returns the names in the pod of the devices of a claim, in the order of the
// reservation. ok is false unless the pod has all of them.
func namesInPod(r *journal.Record, res *journal.Reservation) (names []string, ok bool) {
	for _, d := range res.Devices {
		a, has := attachmentOf(r, d.Identity)
		if _, problem := r.Problems[a.Before.Name]; !has || problem {
			return nil, false
		}
		names = append(names, a.PodName)
	}
	return names, true
}

// attachmentOf returns the device among those of a record that are or were in the pod.
func attachmentOf(r *journal.Record, id netmove.Identity) (netmove.Attachment, bool) {
	for _, a := range r.Devices {
		if a.Before.Identity.Same(id) {
			return a, true
		}
	}
	return netmove.Attachment{}, false
}

// cleanGate removes the CDI specifications that an earlier process has left and that no
// attached sandbox has.
func (t *Table) cleanGate() error {
	attached := map[string]bool{}
	for _, r := range t.journal.All() {
		for _, claim := range r.Claims {
			attached[claim] = r.State == journal.Attached
		}
	}
	return t.specs.clean(func(claim string) bool { return attached[claim] })
}
