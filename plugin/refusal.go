package plugin

import (
	"errors"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// refusalReason is a class of refusals, for the metrics.
type refusalReason struct {
	label string
	is    func(error) bool
}

// otherReason labels a refusal of no other class.
const otherReason = "other"

// reasons returns the classes. The first that fits a refusal counts.
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

// reasonOf returns the label of a refusal.
func reasonOf(err error) string {
	for _, r := range reasons() {
		if r.is(err) {
			return r.label
		}
	}
	return otherReason
}
