package sandbox

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// How a try to return a device ends, and what only the last try that is due ends as.
func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		err        error
		guarded    bool
		want, last Outcome
	}{
		{nil, false, OutcomeReturned, OutcomeReturned},
		{&netmove.MinorError{}, false, OutcomeAgain, OutcomeAltered},
		{&netmove.MinorError{}, true, OutcomeAgain, OutcomeAgain},
		{netmove.ErrLost, false, OutcomeAgain, OutcomeLost},
		{netmove.ErrTainted, false, OutcomeAgain, OutcomeQuarantined},
		{netmove.ErrStacked, false, OutcomeAgain, OutcomeQuarantined},
		{errors.New("busy"), false, OutcomeAgain, OutcomeAgain},
	} {
		err := tc.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		for last, want := range map[bool]Outcome{false: tc.want, true: tc.last} {
			if got := outcomeOf(err, tc.guarded, func() bool { return last }); got != want {
				t.Errorf("%v, guarded %v, last %v: %s, want %s", tc.err, tc.guarded, last, got, want)
			}
		}
	}
}
