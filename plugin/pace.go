package plugin

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// firstGuess is what a move takes as long as none was measured: the kernel
// waits for three to four ticks of its clock in each (rcu_barrier).
const firstGuess = 20 * time.Millisecond

// errTooMany refuses what cannot be done in the time that is left.
var errTooMany = errors.New("too many devices")

// pace is how long moving one device takes on this node, a moving average.
// The zero value stands for firstGuess.
type pace struct{ average atomic.Int64 }

func (p *pace) perDevice() time.Duration {
	if d := p.average.Load(); d > 0 {
		return time.Duration(d)
	}
	return firstGuess
}

// measured takes in that moving so many devices took so long.
func (p *pace) measured(devices int, took time.Duration) {
	const weight = 4 // of what was known, against one new figure
	one := int64(took) / int64(devices)
	p.average.Store((int64(p.perDevice())*weight + one) / (weight + 1))
}

// fits refuses what cannot be done in the time that is left.
func (p *pace) fits(devices int, left time.Duration) error {
	need := time.Duration(devices) * p.perDevice()
	if need <= left {
		return nil
	}
	// Who is refused measures nothing: without this, one slow moment would
	// keep pods with many devices out for good.
	p.measured(1, firstGuess)
	return fmt.Errorf("%w: moving %d devices takes about %v on this node and the runtime leaves %v for it: ask for fewer, or raise the runtime's NRI request time-out",
		errTooMany, devices, need.Round(time.Millisecond), left.Round(time.Millisecond))
}
