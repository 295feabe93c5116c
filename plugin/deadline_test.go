package plugin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// A hook answers a margin before the runtime's time-out, or before the request's deadline if
// that is earlier.
func TestAnswerBy(t *testing.T) {
	n := newNode(t, allowAll)
	for _, tc := range []struct{ timeout, deadline, want time.Duration }{
		{0, 0, defaultRequestTimeout},
		{-1, 0, defaultRequestTimeout},
		{1, 0, 1},
		{time.Hour, 0, time.Hour},
		{time.Hour, time.Minute, time.Minute},
		{time.Minute, time.Hour, time.Minute},
	} {
		n.timeout.Store(int64(tc.timeout))
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		if tc.deadline > 0 {
			ctx, cancel = context.WithDeadline(ctx, began.Add(tc.deadline))
		}
		got := n.answerBy(ctx)
		cancel()
		earliest := began.Add(tc.want - answerMargin)
		if got.Before(earliest) || got.After(earliest.Add(time.Since(began))) {
			t.Errorf("time-out %v, deadline %v: %v after the begin, want %v", tc.timeout, tc.deadline, got.Sub(began), tc.want-answerMargin)
		}
	}
}

// The first to make a claim has made it for both.
func TestClaim(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &race{request: ctx}
	if err := errors.Join(c.Late(), c.Succeed()); err != nil {
		t.Error(err)
	}
	if err := c.Succeed(); !errors.Is(err, errOutOfTime) {
		t.Errorf("the second: %v", err)
	}
	cancel()
	c = &race{request: ctx}
	if late, err := c.Late(), c.Succeed(); !errors.Is(late, errLate) || !errors.Is(err, errLate) {
		t.Errorf("after the end of the request: %v, %v", late, err)
	}
	if !c.win() {
		t.Error("a claim that came too late is made")
	}
}

// The work makes its claim as time is up: the hook waits for it, and answers what it says.
func TestJustInTime(t *testing.T) {
	n := newNode(t, allowAll)
	for _, want := range []error{nil, errors.New("the answer of the work")} {
		ctx, cancel := context.WithDeadline(t.Context(), time.Now()) // time is up at once
		err := n.inTime(ctx, func(ctx context.Context, c *race) error {
			if !c.win() {
				return want // the hook was first
			}
			if cause := context.Cause(ctx); !errors.Is(cause, errOutOfTime) {
				t.Errorf("the work is told %v", cause)
			}
			return want
		})
		cancel()
		if !errors.Is(err, want) && !errors.Is(err, errOutOfTime) {
			t.Errorf("error is %v", err)
		}
		n.working.Wait()
	}
	for _, want := range []error{nil, errors.New("the answer of the work")} {
		ctx, cancel := context.WithTimeout(t.Context(), answerMargin+10*time.Millisecond)
		err := n.inTime(ctx, func(ctx context.Context, c *race) error {
			if err := c.Succeed(); err != nil {
				return err
			}
			<-ctx.Done() // the hook sees that time is up
			return want
		})
		cancel()
		if !errors.Is(err, want) {
			t.Errorf("the work was first and says %v, the runtime is told %v", want, err)
		}
	}
}

// The work's context ends with the hook's time, or with the work, and not with the runtime's
// request.
func TestWorkOutlivesTheRequest(t *testing.T) {
	n := newNode(t, allowAll)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var after func() error
	err := n.inTime(ctx, func(ctx context.Context, c *race) error {
		after = ctx.Err
		return errors.Join(ctx.Err(), c.Late())
	})
	if n.working.Wait(); after() == nil {
		t.Error("the work's context outlives it")
	}
	if !errors.Is(err, errLate) || errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// Each refusal counts for one reason.
func TestReasons(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&config.Problems{}, "annotation"},
		{sandbox.ErrHostNetwork, "host_network"},
		{config.ErrDenied, "not_allowed"},
		{&journal.InUseError{}, "in_use"},
		{netmove.ErrNotFound, "not_found"},
		{netmove.ErrNameTaken, "name_taken"},
		{errOutOfTime, "time"},
		{errLate, "time"},
		{sandbox.ErrTooMany, "time"},
		{errors.New("something else"), otherReason},
	} {
		if got := reasonOf(fmt.Errorf("wrapped: %w", tc.err)); got != tc.want {
			t.Errorf("%v counts as %s, want %s", tc.err, got, tc.want)
		}
	}
}
