package sandbox

import (
	"context"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Admit decides whether a container of a sandbox may start. While the plugin is away or
// does not answer, a runtime starts pods without their devices. If such a pod has had no
// container yet, Admit attaches the devices now, else it refuses the container. It goes by
// the published state, not by the devices' names, which programs change. It calls requests
// only if it needs them.
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
	case err == nil && len(wanted) == 0 && !t.Claimed(s.Pod.UID):
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

// attached reports whether the sandbox is published as Attached, and returns which
// devices it lacks nevertheless.
//
// Invariant: what a container is told of its devices is read under the sandbox's lock.
func (t *Table) attached(sandbox string) (yes bool, lacks error) {
	defer t.locks.lock(sandbox)()
	return t.attachedLocked(sandbox)
}

// tellLate adds a difference to the devices of a late attach: an init container may have
// run without them, since the runtime's list leaves out containers that have ended.
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
