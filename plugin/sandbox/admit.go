package sandbox

import (
	"context"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Admit decides on a container of a sandbox. A runtime starts pods also while the plugin
// is away or does not answer, without their devices: such a pod gets them now if it has
// had no container yet, and no container otherwise. What decides is the published state
// and not the devices' names, since programs rename devices. requests are read only when
// they are needed.
func (t *Table) Admit(ctx context.Context, s Sandbox, requests func() ([]netmove.Request, error), answer Answer) error {
	err := t.admit(ctx, s, requests, answer)
	if err == nil {
		t.memories.describe(s, func(one *memory) { one.populated = true })
	}
	return err
}

func (t *Table) admit(ctx context.Context, s Sandbox, requests func() ([]netmove.Request, error), answer Answer) error {
	if attached, err := t.attached(s.ID); attached {
		return err
	}
	wanted, err := requests()
	switch {
	case err == nil && len(wanted) == 0:
		return nil
	case t.memories.populated(s.ID):
		t.miss(s.ID, startedWithout)
		return t.missedError(s.ID)
	case err != nil:
		return err
	}
	t.memories.look(s.ID, func(one *memory) { one.late = one.listed })
	return t.Attach(ctx, s, wanted, answer)
}

// attached reports whether the sandbox is published as Attached, with what it lacks
// nevertheless.
//
// Invariant: what a container is told of its devices is read under the sandbox's lock.
func (t *Table) attached(sandbox string) (yes bool, lacks error) {
	defer t.locks.lock(sandbox)()
	return t.attachedLocked(sandbox)
}

// tellLate notes on the devices of a late attach what cannot be known: the runtime's list
// leaves out containers that have ended, so that an init container may have run before.
func (t *Table) tellLate(sandbox string, plan netmove.Plan) {
	late := false
	t.memories.look(sandbox, func(one *memory) { late = one.late })
	if !late {
		return
	}
	for i := range plan {
		plan[i].Differences = append(plan[i].Differences, netmove.Difference{
			Attribute: "late", Text: "attached after the pod's start: containers that had ended by then ran without it",
		})
	}
}
