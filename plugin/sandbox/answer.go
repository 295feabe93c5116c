package sandbox

import "context"

// Answer tells the caller of an attach of its success. An attach is undone if the caller
// does not learn of it in time.
type Answer interface {
	// Late returns an error once nobody waits for the answer any more.
	Late() error

	// Succeed decides that the caller is told of success. If it returns an error, the
	// caller is told of a failure.
	Succeed() error
}

// untilDone is the Answer to a caller that waits until its context ends.
type untilDone struct{ context.Context }

func (u untilDone) Late() error    { return context.Cause(u.Context) }
func (u untilDone) Succeed() error { return u.Late() }
