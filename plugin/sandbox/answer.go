package sandbox

import "context"

// Answer is how who has asked for devices learns of success. An attach that nobody
// learns of in time is undone.
type Answer interface {
	// Late is an error once nobody waits for the answer any more.
	Late() error

	// Succeed decides that who asked is told of success. After an error it is told of a
	// failure.
	Succeed() error
}

// untilDone is the Answer to who waits until its context ends.
type untilDone struct{ context.Context }

func (u untilDone) Late() error    { return context.Cause(u.Context) }
func (u untilDone) Succeed() error { return u.Late() }
