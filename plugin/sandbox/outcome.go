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

// enoughTries is how many tries in a row fail before the device counts as lost (if it was
// not found), is quarantined (if something of the pod's could not be removed) or is left
// altered (if a minor setting could not be put back). Until then the namespace stays pinned.
const enoughTries = 3

// outcomeOf returns the outcome of a try that ended with err. guarded says that the guard
// of the device's name is still in the pod. enough counts the try, and reports whether it
// was the last; outcomeOf calls it only where that matters.
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
