package netmove

import (
	"errors"
	"fmt"
	"strings"
)

// minIPv6MTU is the smallest MTU that carries IPv6 (RFC 8200, section 5);
// below it the kernel takes IPv6 off a device.
const minIPv6MTU = 1280

// Plan is what an attach will do, one Attachment a device, in order. It is a
// value: nothing has been changed yet.
type Plan []Attachment

// NewPlan decides how the devices of one pod move, given what the pod wants
// and the state of each device, in the same order. It changes nothing and
// reads nothing. The error holds every reason against it.
func NewPlan(requests []Request, devices []Device) (Plan, error) {
	plan := make(Plan, len(requests))
	var errs []error
	for i := range requests {
		a, err := newAttachment(requests[i], devices[i])
		plan[i] = a
		errs = append(errs, err)
	}
	errs = append(errs, plan.checkDevices(), plan.checkNames())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return plan, nil
}

func newAttachment(r Request, dev Device) (Attachment, error) {
	a := Attachment{Request: r, Before: dev.Snapshot, PodName: r.PodName, Lower: dev.Lower, Loss: dev.Loss}
	if a.PodName == "" {
		a.PodName = dev.Name
	}
	a.Guard = a.PodName != dev.Name
	if err := checkMovable(dev); err != nil {
		return a, err
	}
	var err error
	if a.Addresses, err = podAddresses(r, dev.Snapshot, a.PodName); err != nil {
		return a, fmt.Errorf("device %q: %w", dev.Name, err)
	}
	a.leaveRefused()
	a.entriesAlong(dev.Entries)
	a.rulesAlong(dev.Rules)
	a.Before.Programs = detached(r, dev.Programs)
	if err := a.checkSettings(dev.Facts); err != nil {
		return a, eachPrefixed(fmt.Sprintf("device %q: ", dev.Name), err)
	}
	return a, nil
}

// eachPrefixed writes the prefix before each of the errors that err joins.
func eachPrefixed(prefix string, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s%w", prefix, err)
	}
	var errs []error
	for _, err := range joined.Unwrap() {
		errs = append(errs, eachPrefixed(prefix, err))
	}
	return errors.Join(errs...)
}

func checkMovable(dev Device) error {
	switch {
	case dev.Role.Loopback:
		return fmt.Errorf("device %q: %w: it is the loopback device of its network namespace", dev.Name, ErrImmovable)
	case dev.Role.Immovable && dev.Identity.Kind != "":
		return fmt.Errorf("device %q: %w: the kernel binds a %s to its network namespace", dev.Name, ErrImmovable, dev.Identity.Kind)
	case dev.Role.Immovable:
		return fmt.Errorf("device %q: %w: the kernel binds it to its network namespace", dev.Name, ErrImmovable)
	}
	return nil
}

// podAddresses are the addresses that the device has in the pod, in the
// kernel's order.
func podAddresses(r Request, dev Snapshot, podName string) ([]Address, error) {
	var addrs []Address
	if r.Addresses != nil {
		for _, p := range r.Addresses {
			addrs = append(addrs, NewAddress(p))
		}
		return addrs, nil
	}
	var errs []error
	for _, a := range dev.Addresses {
		if !a.movesAlong() {
			continue
		}
		a, err := a.relabel(dev.Name, podName)
		errs = append(errs, err)
		addrs = append(addrs, a)
	}
	return addrs, errors.Join(errs...)
}

// leaveRefused tells of addresses that would go along, and do not since another node has them.
func (a *Attachment) leaveRefused() {
	if a.Request.Addresses != nil {
		return
	}
	for _, addr := range a.Before.Addresses {
		if addr.refused() {
			a.leave("addresses", "%s stays on the host: another node has it (duplicate address detection)", addr.Local)
		}
	}
}

func (a *Attachment) checkMTU() error {
	mtu := a.Request.MTU
	if mtu == 0 {
		mtu = a.Before.MTU
	} else if mtu < a.Before.MinMTU || (a.Before.MaxMTU != 0 && mtu > a.Before.MaxMTU) {
		return fmt.Errorf("mtu %d is outside the device's limits, %d to %d", mtu, a.Before.MinMTU, a.Before.MaxMTU)
	} else if err := a.Lower.checkMTU(mtu); err != nil {
		return err
	}
	if mtu >= minIPv6MTU {
		return nil
	}
	for _, addr := range a.Addresses {
		if addr.IsIPv6() {
			return fmt.Errorf("mtu %d is too small for its address %s: IPv6 needs %d bytes", mtu, addr.Local, minIPv6MTU)
		}
	}
	for _, r := range a.Request.Routes {
		if r.isIPv6() {
			return fmt.Errorf("mtu %d is too small for the route %s: IPv6 needs %d bytes", mtu, r, minIPv6MTU)
		}
	}
	return nil
}

// checkDevices finds devices that were asked for twice, by name and altname.
func (p Plan) checkDevices() error {
	seen := map[uint64]string{}
	var errs []error
	for _, a := range p {
		inode := a.Before.Identity.Inode
		if first, ok := seen[inode]; ok {
			errs = append(errs, fmt.Errorf("%q and %q are the same device: name it once", first, a.Request.Device))
		}
		seen[inode] = a.Request.Device
	}
	return errors.Join(errs...)
}

// checkNames finds names that two devices would have in the pod. Altnames
// count: they follow their device, and share one name space with the names.
func (p Plan) checkNames() error {
	owner := map[string]string{}
	var errs []error
	claim := func(name, device, what string) {
		if other, ok := owner[name]; ok {
			errs = append(errs, fmt.Errorf("cannot name %q %q in the pod: %q is %s", device, name, name, other))
			return
		}
		owner[name] = what
	}
	for _, a := range p {
		for _, alt := range a.Before.Altnames {
			claim(alt, a.Before.Name, fmt.Sprintf("an altname of %q", a.Before.Name))
		}
	}
	for _, a := range p {
		claim(a.PodName, a.Before.Name, fmt.Sprintf("the name of %q there", a.Before.Name))
	}
	return errors.Join(errs...)
}

// String tells what would happen, one line a device.
func (p Plan) String() string {
	var b strings.Builder
	for _, a := range p {
		fmt.Fprintf(&b, "%s -> %s", a.Before.Name, a.PodName)
		for _, s := range a.settings() {
			fmt.Fprintf(&b, ", %s", s)
		}
		b.WriteString("\n")
	}
	return b.String()
}
