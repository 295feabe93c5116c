package plugin

import (
	"errors"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// refusalReason is why a pod was refused, for those who count.
type refusalReason struct {
	label string
	is    func(error) bool
}

// otherReason is the label of what is none of the others.
const otherReason = "other"

// reasons are in the order in which they are looked for.
func reasons() []refusalReason {
	class := func(target error) func(error) bool {
		return func(err error) bool { return errors.Is(err, target) }
	}
	return []refusalReason{
		{"annotation", func(err error) bool { _, ok := errors.AsType[*config.Problems](err); return ok }},
		{"host_network", class(sandbox.ErrHostNetwork)},
		{"not_allowed", class(config.ErrDenied)},
		{"in_use", func(err error) bool { _, ok := errors.AsType[*journal.InUseError](err); return ok }},
		{"not_found", class(netmove.ErrNotFound)},
		{"name_taken", class(netmove.ErrNameTaken)},
		{"time", func(err error) bool {
			return errors.Is(err, errOutOfTime) || errors.Is(err, errLate) || errors.Is(err, sandbox.ErrTooMany)
		}},
		{otherReason, func(error) bool { return true }},
	}
}

// reasonOf is the label of why a pod was refused.
func reasonOf(err error) string {
	for _, r := range reasons() {
		if r.is(err) {
			return r.label
		}
	}
	return otherReason
}
