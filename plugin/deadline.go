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

	// defaultRequestTimeout is the runtime's, where neither the request nor
	// the runtime tells one (api.DefaultPluginRequestTimeout of NRI).
	defaultRequestTimeout = 2 * time.Second
)

// errOutOfTime is what a pod's author reads when the answer had to be given
// before the work was done.
var errOutOfTime = errors.New("the devices could not be moved in the time that the runtime allows a plugin")

// errLate is the same for a request that the runtime has given up on, of which
// nobody reads the answer. A process that was stopped meets such ones: what they
// ask for may have gone on without it, so that the pod runs already.
var errLate = errors.New("the runtime has dropped the plugin and went on without its answer")

// claim is a decision that two goroutines race for: the first to make it has
// made it for both.
type claim struct {
	taken   atomic.Bool
	request context.Context // the runtime's, which ends with its connection
}

// make reports whether the caller is the first.
func (c *claim) make() bool { return c.taken.CompareAndSwap(false, true) }

var _ sandbox.Answer = (*claim)(nil)

// Succeed makes the claim that the runtime is told of success, or says why it
// will not be.
func (c *claim) Succeed() error {
	if err := c.Late(); err != nil {
		return err
	}
	if !c.make() {
		return errOutOfTime
	}
	return nil
}

// Late says whether there is nobody any more to tell. The end of a connection
// is the next thing to be read after the last request that came by it, so it is
// known long before devices have moved for that.
func (c *claim) Late() error {
	if c.request.Err() != nil {
		return errLate
	}
	return nil
}

// inTime runs the work of a hook on a goroutine of its own, since a request to
// the kernel cannot be interrupted, and answers before the runtime's deadline
// whatever the work does. The work learns from its context that time is up,
// and makes the claim when it has succeeded: if it is not the first, the
// runtime has been told of a failure, and the work has to be undone.
func (p *Plugin) inTime(ctx context.Context, work func(context.Context, *claim) error) error {
	p.hooks.RLock()
	defer p.hooks.RUnlock()
	c := &claim{request: ctx}
	ctx, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), p.answerBy(ctx), errOutOfTime)
	done := make(chan error, 1)
	p.working.Go(func() {
		defer cancel()
		done <- work(ctx, c)
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // done in the same instant, and ended the context
		return err
	default:
	}
	if c.make() {
		return errOutOfTime
	}
	return <-done // just in time
}

// answerBy is when the hook has to answer.
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
