package plugin

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

const (
	// answerMargin is how long before the runtime's deadline a hook answers.
	answerMargin = 300 * time.Millisecond

	// defaultRequestTimeout applies if neither the request nor the runtime says how long
	// the runtime waits (api.DefaultPluginRequestTimeout of NRI).
	defaultRequestTimeout = 2 * time.Second
)

// errOutOfTime tells the pod's author that the answer was due before the work was done.
var errOutOfTime = errors.New("the devices could not be moved in the time that the runtime allows a plugin")

// errLate ends work on a request that the runtime has given up on. A process that was
// stopped for a while reads such requests later: the pod may run already.
var errLate = errors.New("the runtime has dropped the plugin and went on without its answer")

// race decides a race of two goroutines: the first to win it decides for both.
type race struct {
	taken   atomic.Bool
	request context.Context // ends with the connection that the request came by
}

// win reports whether the caller is the first.
func (c *race) win() bool { return c.taken.CompareAndSwap(false, true) }

var _ sandbox.Answer = (*race)(nil)

// Succeed decides that the runtime is told of success, or returns why it cannot be.
func (c *race) Succeed() error {
	if err := c.Late(); err != nil {
		return err
	}
	if !c.win() {
		return errOutOfTime
	}
	return nil
}

// Late returns an error if nobody waits for the answer any more. The end of a connection
// is read right after its last request, so it is known long before devices have moved.
func (c *race) Late() error {
	if c.request.Err() != nil {
		return errLate
	}
	return nil
}

// inTime runs the work of a hook, and returns before the runtime's deadline even if the
// work goes on: a request to the kernel cannot be interrupted. The work's context ends
// when time is up. Work that has succeeded wins the race; if it is not the first, the
// runtime has been told of a failure, and the work must be undone.
func (p *Plugin) inTime(ctx context.Context, work func(context.Context, *race) error) error {
	p.hooks.RLock()
	defer p.hooks.RUnlock()
	c := &race{request: ctx}
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), p.answerBy(ctx), errOutOfTime)
	done := make(chan error, 1)
	p.working.Go(func() {
		defer cancel()
		err := work(ctx, c)
		c.win() // an answer, whatever it is, counts if it is the first
		done <- err
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if c.win() {
		return errOutOfTime
	}
	return <-done // just in time
}

// answerBy returns when the hook must answer.
func (p *Plugin) answerBy(ctx context.Context) time.Time {
	timeout := p.requestTimeout()
	if timeout <= 0 {
		timeout = defaultRequestTimeout
	}
	by := time.Now().Add(timeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(by) {
		by = deadline
	}
	return by.Add(-answerMargin)
}
