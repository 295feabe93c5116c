package sandbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ErrTooMany refuses an attach that takes longer than the time that is left.
var ErrTooMany = errors.New("too many devices for the time")

// estimate knows the shortest time that an attach of a device took on this node, by
// driver. The time is a lower bound: a slow attach does not raise it, so that no attach
// is refused in error. The zero value refuses nothing.
type estimate struct{ fastest keyed[time.Duration] }

// driver returns the kind and the driver of a device: such devices take equally long.
func driver(a netmove.Attachment) string {
	id := a.Before.Identity
	return id.Kind + "/" + id.Driver
}

// measured notes how long an attach took, if all its devices have the same driver.
func (e *estimate) measured(plan netmove.Plan, took time.Duration) {
	for _, a := range plan {
		if driver(a) != driver(plan[0]) {
			return
		}
	}
	one := took / time.Duration(len(plan))
	e.fastest.change(driver(plan[0]), func(d *time.Duration) {
		if *d == 0 || one < *d {
			*d = one
		}
	})
}

// fits refuses a plan that takes longer than the time that is left.
func (e *estimate) fits(plan netmove.Plan, left time.Duration) error {
	var need time.Duration
	for _, a := range plan {
		e.fastest.look(driver(a), func(d *time.Duration) { need += *d })
	}
	if need <= left {
		return nil
	}
	return fmt.Errorf("moving %d devices takes %v or more on this node and the runtime leaves %v: ask for fewer, or raise the runtime's NRI request time-out: %w",
		len(plan), need.Round(time.Millisecond), left.Round(time.Millisecond), ErrTooMany)
}
