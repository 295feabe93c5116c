package netmove

import (
	"errors"
	"fmt"
	"slices"
)

// Hook is a place on a device where BPF programs run.
type Hook string

// The hooks whose programs follow a device when it moves.
const (
	XDPGeneric  Hook = "xdp generic"  // IFLA_XDP_SKB_PROG_ID
	XDPDriver   Hook = "xdp driver"   // IFLA_XDP_DRV_PROG_ID
	XDPHardware Hook = "xdp hardware" // IFLA_XDP_HW_PROG_ID
	TCXIngress  Hook = "tcx ingress"  // BPF_TCX_INGRESS, Linux 6.6
	TCXEgress   Hook = "tcx egress"   // BPF_TCX_EGRESS
)

// TunQueue is the hook of what is no BPF program and sees a device's frames all the same: a
// process that has attached to a tun or tap device. It keeps the queue until it closes its
// descriptor, wherever the device is, and nobody else can take it away. Program.ID is the
// number of the queue, from 1.
const TunQueue Hook = "tun queue"

// Program is a BPF program on a device.
type Program struct {
	Hook Hook   `json:"hook"`
	ID   uint32 `json:"id"`             // of the program, as bpftool(8) shows it
	Link uint32 `json:"link,omitempty"` // of the BPF link that holds it there; 0: none, or not known

	// Detached is set for one that is taken off for as long as the pod has the device.
	Detached bool `json:"detached,omitempty"`
}

// detached are the programs of the host's device as the pod is to have them.
func detached(r Request, programs []Program) []Program {
	programs = slices.Clone(programs)
	for i, p := range programs {
		programs[i].Detached = r.DetachBPF && p.Hook != TunQueue
	}
	return programs
}

// programSteps take off the device in the pod what is not to be there.
func (a *Attachment) programSteps(pod Namespace) []step {
	var t todo
	for _, p := range a.Before.Programs {
		t.add(p.Detached, "programs", func() error { return pod.Detach(a.PodIndex, p) }, "detach %s", p)
	}
	t.add(a.Request.DetachBPF, "programs", func() error { return a.checkDetached(pod) }, "look for programs that are left")
	return t
}

// checkDetached makes sure that no program is left: there may be some that the snapshot
// could not see.
func (a *Attachment) checkDetached(pod Namespace) error {
	left, err := pod.Programs(Snapshot{Identity: Identity{Index: a.PodIndex}})
	left = slices.DeleteFunc(left, func(p Program) bool { return p.Hook == TunQueue })
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%v could not be taken off", left)
	}
	return err
}

// String names the program for a message.
func (p Program) String() string {
	if p.Hook == TunQueue {
		return fmt.Sprintf("%s %d, which a process holds", p.Hook, p.ID)
	}
	if p.Link != 0 {
		return fmt.Sprintf("%s program %d of link %d", p.Hook, p.ID, p.Link)
	}
	return fmt.Sprintf("%s program %d", p.Hook, p.ID)
}

// same reports whether other is p. The holder of a link can exchange the
// program of it, and it is still the same attachment.
func (p Program) same(other Program) bool {
	return p.Hook == other.Hook && (p.ID == other.ID || p.Link != 0 && p.Link == other.Link)
}

// foreign are those of the programs that are not the host's. Records of older versions know
// of no queues.
func (s Snapshot) foreign(programs []Program) []Program {
	return slices.DeleteFunc(without(programs, s.Programs, Program.same), func(p Program) bool {
		return s.older() && p.Hook == TunQueue
	})
}

// seen is what programs were seen on a device.
type seen struct {
	programs []Program
	unseen   error // an ErrUnseen: there may be more
}

// programs reads what programs can be seen. Where bpf(2) is refused, nobody can
// tell a device with TCX programs from one without, and that must not keep every
// device of the node down.
func (m *Mover) programs(dev Snapshot) (seen, error) {
	list, err := m.Host.Programs(dev)
	if errors.Is(err, ErrUnseen) {
		return seen{list, err}, nil
	}
	return seen{programs: list}, err
}

// detach removes the programs of the pod's from a device that is home, and
// returns what is on it then. They are removed here and not in the pod, where
// a process of the pod's could put them back. They see nothing of the host's
// meanwhile: a device that comes home is down, and goes up after this.
func (m *Mover) detach(dev, before Snapshot) (seen, error) {
	have, err := m.programs(dev)
	if err != nil {
		return seen{}, fmt.Errorf("%w: look for programs: %w", ErrTainted, err)
	}
	foreign := before.foreign(have.programs)
	if len(foreign) == 0 {
		return have, nil
	}
	var errs []error
	for _, p := range foreign {
		m.Log.Debug("step", "device", before.Name, "step", "detach "+p.String())
		errs = append(errs, m.Host.Detach(dev.Identity.Index, p))
	}
	// What was asked for is not always what has happened.
	have, err = m.programs(dev)
	if err != nil {
		return seen{}, fmt.Errorf("%w: look for programs again: %w", ErrTainted, err)
	}
	if left := before.foreign(have.programs); len(left) > 0 {
		return seen{}, fmt.Errorf("%w: %v: %w", ErrTainted, left, errors.Join(errs...))
	}
	return have, nil
}

// reattach puts back the programs of the host's that were taken off for the pod, and
// says what is not known of those on a device that is as it was otherwise, and which of
// the host's are gone: who put them there must do so again. It returns what could not be
// done.
func (m *Mover) reattach(dev, before Snapshot, now seen) (left []*StepError) {
	if now.unseen != nil {
		m.Log.Warn("programs of the pod's may still be on the device", "device", before.Name, "err", now.unseen)
	}
	for _, p := range without(before.Programs, now.programs, Program.same) {
		gone := now.unseen == nil && p.Hook != TunQueue
		if p.Detached {
			what := "attach " + p.String()
			m.Log.Debug("step", "device", before.Name, "step", what)
			err := m.Host.Reattach(dev.Identity.Index, p)
			if gone = errors.Is(err, ErrNotFound); err != nil && !gone {
				left = append(left, &StepError{Device: before.Name, Step: what, Attribute: "programs", Err: err})
			}
		}
		if gone {
			m.Log.Warn("a program of the host's is gone from the device", "device", before.Name, "program", p.String())
		}
	}
	return left
}
