package sandbox

import (
	"errors"
	"fmt"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ErrTooMany refuses what cannot be done in the time that is left.
var ErrTooMany = errors.New("too many devices for the time")

// estimate is the shortest time that an attach took on this node, by what drives the
// device. It is a lower bound: a slow attach does not raise it, so that what would have
// fitted is never refused. The zero value knows nothing, and refuses nothing.
type estimate struct{ fastest keyed[time.Duration] }

// driver is what drives a device: two devices with the same take as long as each other.
func driver(a netmove.Attachment) string {
	id := a.Before.Identity
	return id.Kind + "/" + id.Driver
}

// measured notes how long the attach of devices took. It learns from those that are all
// driven by the same.
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

// fits refuses what cannot be done in the time that is left.
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
