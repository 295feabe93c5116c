package netmove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Mover moves devices between the host's network namespace and pods'.
// It has no state of its own: any number of operations may run at a time, as
// long as no two are about the same device.
type Mover struct {
	Host Namespace         // the namespace devices come from and return to
	Now  func() BootOffset // the time since boot
	Log  *slog.Logger

	// Holds, if it is not nil, reports whether a pod has the device: one on another that is
	// ours is not the pod's own then.
	Holds func(Identity) bool

	// Moved, if it is not nil, is told how long the kernel took to move one device.
	Moved func(took time.Duration)
}

// timedMove moves a device from one namespace to the other.
func (m *Mover) timedMove(from Namespace, index int, to Namespace, name string, newIndex int) error {
	began := time.Now()
	err := from.Move(index, to, name, newIndex)
	if err == nil && m.Moved != nil {
		m.Moved(time.Since(began))
	}
	return err
}

// Prepare compares the plan with the pod's namespace, which it only reads: the
// names must be free there. It settles which moves need a guard, and reads what was left for a
// plan that policy allows.
func (m *Mover) Prepare(pod Namespace, plan Plan) error {
	var errs []error
	for i := range plan {
		a := &plan[i]
		for _, name := range append([]string{a.PodName}, a.Before.Altnames...) {
			taken, err := pod.NameTaken(name)
			if taken {
				err = nameTaken(a.Before.Name, name)
			}
			errs = append(errs, err)
		}
		if a.Guard {
			// A name that both sides have needs no guard: the kernel then
			// checks the new name before it moves.
			taken, err := pod.NameTaken(a.Before.Name)
			a.Guard = !taken
			errs = append(errs, err)
		}
		errs = append(errs, a.checkPodRoutes(pod), plan.findReplaced(pod, a))
	}
	if err := errors.Join(append(errs, fitIPv6(pod, plan), checkRules(pod, plan))...); err != nil {
		return err
	}
	for i := range plan {
		if err := m.readTunFile(&plan[i]); err != nil {
			return fmt.Errorf("device %q: %w", plan[i].Before.Name, err)
		}
	}
	return nil
}

// readTunFile completes the snapshot of a tun or tap by PartTunFile. A process that wants the
// device just then does not get it, so it is read only for a pod that may have the device. All
// else is as policy has seen it.
func (m *Mover) readTunFile(a *Attachment) error {
	if a.Before.Identity.Kind != "tun" {
		return nil
	}
	dev := a.Before
	if err := m.Host.Fill(&dev, PartOptions|PartTunFile); err != nil {
		return err
	}
	now, err := m.programs(dev)
	a.Before.Options, a.Before.Parts, a.Before.Programs = dev.Options, dev.Parts, detached(a.Request, now.programs)
	return err
}

// Attach moves the devices of a prepared plan into the pod. Either all of them
// are there, up and configured, when it returns, or all of them are on the
// host as they were, and the error says why. What could not be undone is
// joined to the error, which is an ErrUndo then.
//
// ctx is looked at before every step. The undo does not depend on it.
func (m *Mover) Attach(ctx context.Context, pod Namespace, plan Plan) error {
	for i := range plan {
		// A device that somebody else has changed meanwhile is left to them.
		if err := m.unchanged(&plan[i]); err != nil {
			return errors.Join(err, m.Undo(pod, plan[:i]))
		}
		if err := m.attach(ctx, pod, &plan[i]); err != nil {
			return errors.Join(err, m.Undo(pod, plan[:i+1]))
		}
	}
	return nil
}

// Undo brings the devices of an attach that was not completed back to the
// host, in the order of Homeward. It may be repeated.
func (m *Mover) Undo(pod Namespace, plan Plan) error {
	var errs []error
	for _, i := range Homeward(plan) {
		if err := m.Return(pod, &plan[i]); err != nil {
			errs = append(errs, fmt.Errorf("%w: %w", ErrUndo, err))
		}
	}
	return errors.Join(errs...)
}

func (m *Mover) run(ctx context.Context, device string, steps []step) error {
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return &StepError{Device: device, Step: s.what, Attribute: s.attribute, Err: context.Cause(ctx)}
		}
		m.Log.Debug("step", "device", device, "step", s.what)
		if err := s.do(); err != nil {
			return &StepError{Device: device, Step: s.what, Attribute: s.attribute, Err: err}
		}
	}
	return nil
}

// attach moves one device and makes it what the pod wants. The device goes up
// last: what it is depends on nothing that happens later.
func (m *Mover) attach(ctx context.Context, pod Namespace, a *Attachment) error {
	if err := ctx.Err(); err != nil {
		return &StepError{Device: a.Before.Name, Step: "move into the pod", Err: context.Cause(ctx)}
	}
	m.Log.Debug("step", "device", a.Before.Name, "step", "move into the pod")
	if err := m.moveIn(pod, a); err != nil {
		return err
	}
	if err := m.run(ctx, a.Before.Name, podSteps(pod, a)); err != nil {
		return a.Lower.explain(err)
	}
	return m.arrive(pod, a)
}

// moveIn is the move itself, under the guard.
func (m *Mover) moveIn(pod Namespace, a *Attachment) error {
	if err := guard(pod, a); err != nil {
		return &StepError{Device: a.Before.Name, Step: "guard its name in the pod", Err: err}
	}
	err := m.moveInGuarded(pod, a)
	if errors.Is(err, ErrNameTaken) {
		err = takenInPod(pod, a)
	}
	return errors.Join(err, dropGuard(pod, a))
}

// moveInGuarded moves the device and finds it again. It keeps its ifindex
// where that is free in the pod.
func (m *Mover) moveInGuarded(pod Namespace, a *Attachment) error {
	id := a.Before.Identity
	a.PodIndex = id.Index
	err := m.timedMove(m.Host, id.Index, pod, a.PodName, id.Index)
	if err == nil {
		return nil // with that index, as it was
	}
	if errors.Is(err, ErrIndexTaken) {
		err = m.timedMove(m.Host, id.Index, pod, a.PodName, 0)
	}
	if err != nil {
		return &StepError{Device: a.Before.Name, Step: "move into the pod", Err: err}
	}
	dev, err := pod.Find(id, id.Index)
	if err != nil {
		return &StepError{Device: a.Before.Name, Step: "find it in the pod", Err: err}
	}
	a.PodIndex = dev.Identity.Index
	return nil
}

// unchanged makes sure that the index still means the device of the snapshot,
// under the name that policy saw.
func (m *Mover) unchanged(a *Attachment) error {
	dev, err := m.Host.Find(a.Before.Identity, a.Before.Identity.Index)
	if err == nil && (dev.Name != a.Before.Name || dev.Identity.Index != a.Before.Identity.Index) {
		err = fmt.Errorf("it is %q with ifindex %d now", dev.Name, dev.Identity.Index)
	}
	if err != nil {
		return &StepError{Device: a.Before.Name, Step: "look at it again before the move", Err: err}
	}
	return nil
}

// guard puts an altname equal to the device's name on the pod's lo. With it
// the kernel finds the current name taken in the target, so it checks the new
// name before it touches anything, and renames within the move.
func guard(pod Namespace, a *Attachment) error {
	if !a.Guard {
		return nil
	}
	err := pod.AddAltname(LoopbackIndex, a.Before.Name)
	if errors.Is(err, ErrNameTaken) {
		a.Guard = false // somebody else's, and as good as ours
		return nil
	}
	return err
}

// dropGuard takes the guard away, if it is there: not where a move before it
// failed, or where an earlier undo took it.
func dropGuard(pod Namespace, a *Attachment) error {
	if pod == nil || !a.Guard {
		return nil
	}
	err := pod.DropAltname(LoopbackIndex, a.Before.Name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		if taken, terr := pod.NameTaken(a.Before.Name); terr == nil && !taken {
			err = nil
		}
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		a.Guard = false
		return nil
	}
	return &StepError{Device: a.Before.Name, Step: "drop the guard of its name in the pod", Err: err}
}

// takenInPod says which of the device's names the pod has already.
func takenInPod(pod Namespace, a *Attachment) error {
	for _, name := range a.Before.Altnames {
		if taken, err := pod.NameTaken(name); err == nil && taken {
			return nameTaken(a.Before.Name, name)
		}
	}
	return nameTaken(a.Before.Name, a.PodName)
}

func nameTaken(device, name string) error {
	return fmt.Errorf("cannot name %q %q in the pod: %w", device, name, ErrNameTaken)
}

// podSteps configure a device that has arrived in the pod, which is down and
// without addresses.
func podSteps(pod Namespace, a *Attachment) []step {
	index, r := a.PodIndex, a.Request
	var t todo
	t.add(r.MAC != nil, "mac", func() error { return pod.SetMAC(index, r.MAC) }, "set MAC %s", r.MAC)
	t.add(r.MTU != 0, "mtu", func() error { return pod.SetMTU(index, r.MTU) }, "set MTU %d", r.MTU)
	return slices.Concat(t, a.offloadSteps(pod), a.sysctlSteps(pod),
		addressSteps(pod, index, a.Addresses, true), a.tableSteps(pod), a.programSteps(pod))
}

// addressSteps put the addresses on a device that has none of them, set it up
// if it shall be, and let them be what they were. IPv6 addresses are put with
// IFA_F_NODAD, so that they can be used at once; taking that flag off again
// later does not start duplicate address detection (inet6_addr_modify). They are
// put after the device is up, since on one without a carrier it is they that
// bring the multicast route (addrconf_add_dev).
func addressSteps(ns Namespace, index int, addrs []Address, up bool) []step {
	var v4, v6, settle todo
	for _, a := range inOrder(addrs) {
		refused := a.refused() // the kernel is to ask the link again
		a = a.settable()
		t := &v4
		if a.IsIPv6() {
			t = &v6
		}
		if quiet := a; a.IsIPv6() && a.Flags&FlagNoDAD == 0 && !refused {
			settle.add(true, "addresses", func() error { return ns.PutAddress(index, quiet) }, "settle address %s", a)
			a.Flags |= FlagNoDAD
		}
		t.add(true, "addresses", func() error { return ns.PutAddress(index, a) }, "add address %s", a)
	}
	v4.add(up, "up", func() error { return ns.SetUp(index, true) }, "set up")
	return slices.Concat(v4, v6, settle)
}
