package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// ErrMissed refuses a container of a pod that runs without its devices.
var ErrMissed = errors.New("pod runs without the devices that it asks for")

// Reasons why a pod runs without its devices.
const (
	startedWithout = "it was started while nri-netdev was away or did not answer in time, or lost them since"
	returnedByHand = "an operator had them returned"
	cameHome       = "they came home by themselves, or somebody on the node moved them"
)

// Missed is a pod that runs without the devices that it asks for.
type Missed struct {
	Pod     string `json:"pod"`
	Sandbox string `json:"sandbox"`
	Reason  string `json:"reason"`
}

// miss notes and logs that a sandbox runs without its devices. The first reason stays.
func (t *Table) miss(sandbox, why string) {
	var s Sandbox
	news := false
	t.memories.look(sandbox, func(one *memory) {
		if news = one.missed == "" && !one.ended; news {
			s, one.missed = one.Sandbox, why
		}
	})
	if news {
		s.Log(t.log).Error("missed: the pod runs without the devices that it asks for", "why", why, "hint", "delete the pod")
	}
}

// missWithout calls miss if the sandbox has a container and no devices.
func (t *Table) missWithout(sandbox, why string) {
	r, ok := t.journal.Get(sandbox)
	if has := ok && r.State == journal.Attached; !has && t.memories.populated(sandbox) {
		t.miss(sandbox, why)
	}
}

// missedError refuses a container of a sandbox that runs without its devices.
func (t *Table) missedError(sandbox string) error {
	why := startedWithout
	t.memories.look(sandbox, func(one *memory) {
		if one.missed != "" {
			why = one.missed
		}
	})
	return missedFor(why)
}

// missedFor returns ErrMissed with the reason and what to do.
func missedFor(why string) error {
	return fmt.Errorf("%w: %s; delete it, so that it starts anew", ErrMissed, why)
}

// Missed lists the pods that run without their devices, ordered by pod.
func (t *Table) Missed() []Missed {
	list := []Missed{}
	for _, id := range t.memories.keys() {
		t.memories.look(id, func(one *memory) {
			if one.missed != "" {
				list = append(list, Missed{Pod: one.Pod.String(), Sandbox: id, Reason: one.missed})
			}
		})
	}
	slices.SortStableFunc(list, func(a, b Missed) int { return strings.Compare(a.Pod, b.Pod) })
	return list
}
