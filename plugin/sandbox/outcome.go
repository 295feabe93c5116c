package sandbox

import (
	"errors"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Outcome is how one try to return a device ends.
type Outcome string

// The outcomes. All but OutcomeAgain end the tries.
const (
	OutcomeReturned    Outcome = "returned"    // home, and as it was
	OutcomeAltered     Outcome = "altered"     // home and free; a minor setting could not be put back
	OutcomeQuarantined Outcome = "quarantined" // home and down, with something of the pod's on it that cannot be removed
	OutcomeLost        Outcome = "lost"        // nowhere to be found
	OutcomeAgain       Outcome = "again"       // not done: the sweep tries again
)

// enoughTries is how often in a row a device is looked for in vain before it counts as
// lost; how often what a pod left on it is removed in vain before it is quarantined; and
// how often a minor setting is put back in vain before it is left as it is. Until then the
// namespace stays pinned.
const enoughTries = 3

// outcomeOf reads the error of a try. enough reports whether this was the last try that is
// due; it is asked only where that matters. guarded is set while the guard of the device's
// name is still in the pod.
func outcomeOf(err error, guarded bool, enough func() bool) Outcome {
	var last Outcome
	var minor *netmove.MinorError
	switch {
	case err == nil:
		return OutcomeReturned
	case errors.As(err, &minor) && !guarded:
		last = OutcomeAltered
	case errors.Is(err, netmove.ErrLost):
		last = OutcomeLost
	case errors.Is(err, netmove.ErrTainted), errors.Is(err, netmove.ErrStacked):
		last = OutcomeQuarantined
	default:
		return OutcomeAgain
	}
	if enough() {
		return last
	}
	return OutcomeAgain
}
