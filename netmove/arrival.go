package netmove

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// arrive completes a device that is in the pod and configured.
func (m *Mover) arrive(pod Namespace, a *Attachment) error {
	a.Differences = slices.Clone(a.Left)
	m.carry(pod, a)
	return m.check(pod, a)
}

// carry puts the routes and neighbors that go along on the device in the pod.
// They were not asked for, so what the kernel does not take is no reason to
// refuse the pod. What the pod has already stays.
func (m *Mover) carry(pod Namespace, a *Attachment) {
	for _, e := range a.Entries {
		err := pod.PutEntry(a.PodIndex, e)
		if err != nil && !errors.Is(err, ErrExists) {
			a.differs(string(e.Table), "%s: %v", e.Text, err)
		}
	}
}

// check reads the device in the pod and notes what is not as meant. That it is ours was
// made sure of before the move; its index in the pod is all that was named since.
func (m *Mover) check(pod Namespace, a *Attachment) error {
	dev := Snapshot{Identity: Identity{Index: a.PodIndex}}
	if err := pod.Fill(&dev, PartAddresses); err != nil {
		return &StepError{Device: a.Before.Name, Step: "look at it in the pod", Err: err}
	}
	meant := a.meant()
	for _, s := range m.compareLink(dev, meant) {
		a.differs(s.attribute, "%s", s.is)
	}
	if !dev.Flags.Up {
		a.differs("up", "it is down")
	}
	for _, want := range meant.Addresses {
		if !slices.ContainsFunc(dev.Addresses, want.appears) {
			a.differs("addresses", "%s is not there as meant", want)
		}
	}
	return nil
}

// meant is the device as it shall be in the pod, as far as check reads it.
func (a *Attachment) meant() Snapshot {
	s := a.Before
	s.Name, s.Addresses, s.Master = a.PodName, a.Addresses, Identity{}
	s.MTU = cmp.Or(a.Request.MTU, s.MTU)
	if a.Request.MAC != nil {
		s.MAC = a.Request.MAC
	}
	s.Options = nil
	for _, size := range a.Request.maxSizes() {
		s.Options = append(s.Options, Option{Name: size.option, Value: size.value()})
	}
	return s
}

// leave notes what could go along, and stays on the host.
func (a *Attachment) leave(attribute, text string, args ...any) {
	a.Left = append(a.Left, Difference{attribute, fmt.Sprintf(text, args...)})
}

func (a *Attachment) differs(attribute, text string, args ...any) {
	a.Differences = append(a.Differences, Difference{attribute, fmt.Sprintf(text, args...)})
}
