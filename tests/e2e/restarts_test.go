package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// TestRestartsUnderPods stops and starts the plugin over and over, as the
// upgrades and the crashes of a DaemonSet do, while pods start and end. A pod
// whose life the plugin was there for has its device. On a containerd as released
// others may start without: those, and only those, are reported as missed. With
// the validator there are none.
func TestRestartsUnderPods(t *testing.T) {
	t.Parallel()
	for _, opts := range []node.Options{asReleased, policyAndVal} {
		t.Run(runtimeName(opts), func(t *testing.T) {
			t.Parallel()
			const rounds = 4
			f := startNode(t, opts)
			f.plugin = f.startPlugin(t)
			f.devices(t, 2)
			before := f.world(t)
			s := &stream{fixture: f, validated: opts.Validator}
			for round := range rounds {
				s.round(t, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[round%2])
			}
			t.Logf("pods with their devices: %d, missed: %d; refused: %d pods, %d containers; other pods: %d",
				s.with.Load(), s.missed.Load(), s.podsRefused.Load(), s.refused.Load(), s.others.Load())
			f.homeWithin(t, homeLimit, before)
		})
	}
}

// stream is pods that start and end, one after the other in each of a few
// lines, while the plugin goes and comes.
type stream struct {
	*fixture
	validated bool

	// epoch is odd from before the plugin is told to end until it is back and
	// registered.
	epoch atomic.Int64

	with, missed, podsRefused, refused, others atomic.Int64

	mu      sync.Mutex
	without []*node.Sandbox // whose container runs without its device, in this round
}

// round ends the plugin while pods are at it, starts it again while they are, and
// lets it be there for a while.
func (s *stream) round(t *testing.T, sig syscall.Signal) {
	t.Helper()
	const some = 2 // pods in each phase
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	over := make(chan struct{})
	var lines sync.WaitGroup
	for line := range 2 {
		lines.Go(func() { s.line(ctx, t, over, func() { s.withDevice(ctx, t, line+1) }) })
	}
	lines.Go(func() { s.line(ctx, t, over, func() { s.ordinary(ctx, t) }) })

	s.await(t, "pods with devices", &s.with, some)
	s.epoch.Add(1)
	s.plugin.signal(t, sig)
	<-s.plugin.Done()
	s.await(t, "other pods", &s.others, 1)
	hole := &s.missed // what the plugin's absence means for a pod with devices
	if s.validated {
		hole = &s.refused
	}
	s.await(t, "pods in the hole", hole, some)
	s.plugin = s.startPlugin(t)
	s.epoch.Add(1)
	s.await(t, "pods with devices", &s.with, some)
	close(over)
	lines.Wait()
	s.settle(t)
}

func (s *stream) await(t *testing.T, what string, count *atomic.Int64, more int64) {
	t.Helper()
	from := count.Load()
	s.eventually(t, what, func() bool { return count.Load() >= from+more })
}

func (s *stream) line(ctx context.Context, t *testing.T, over chan struct{}, live func()) {
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			t.Error(ctx.Err())
			return
		default:
			live()
		}
	}
}

// withDevice is a pod's life. It is tried again as the kubelet does: a pod that
// is refused in a new sandbox, a container in the same.
func (s *stream) withDevice(ctx context.Context, t *testing.T, line int) {
	p := pod(fmt.Sprintf("p%d", line), fmt.Sprintf("- {name: eth%d, newName: net1}", line))
	p.RequirePlugin("nri-netdev")
	epoch := s.epoch.Load()
	sandbox, err := s.RunPod(ctx, p)
	if err != nil {
		s.podsRefused.Add(1)
		// An earlier pod ended while the plugin was away: its device comes home
		// within the next seconds.
		if !strings.Contains(err.Error(), "is in use by pod default/p") {
			s.mayFail(t, epoch, err)
		}
		return
	}
	saw := look(ctx, sandbox)
	for strings.HasPrefix(saw, "refused") && ctx.Err() == nil {
		s.refused.Add(1)
		s.mayFail(t, epoch, fmt.Errorf("container %s", saw))
		time.Sleep(100 * time.Millisecond) // the kubelet's back-off
		saw = look(ctx, sandbox)
	}
	if saw == "with" {
		s.with.Add(1)
		s.end(t, sandbox)
		return
	}
	if s.validated || s.undisturbed(epoch) {
		t.Errorf("container %s its device", saw)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.without = append(s.without, sandbox)
	s.missed.Add(1)
}

// undisturbed reports whether the plugin has been there since the epoch began.
func (s *stream) undisturbed(epoch int64) bool { return epoch%2 == 0 && s.epoch.Load() == epoch }

func (s *stream) mayFail(t *testing.T, epoch int64, err error) {
	if s.undisturbed(epoch) {
		t.Errorf("while the plugin is there: %v", err)
	}
}

// ordinary is the life of a pod that asks for nothing.
func (s *stream) ordinary(ctx context.Context, t *testing.T) {
	epoch := s.epoch.Load()
	sandbox, err := s.RunPod(ctx, node.Pod{Name: "other"})
	if err != nil {
		s.mayFail(t, epoch, err)
		return
	}
	if _, err := sandbox.RunContainer(ctx, "main"); err != nil {
		s.mayFail(t, epoch, err)
	}
	s.end(t, sandbox)
	s.others.Add(1)
}

// settle looks at the pods whose container runs without its device: they are
// what the plugin has reported, and get no other container.
func (s *stream) settle(t *testing.T) {
	t.Helper()
	for _, sandbox := range s.without {
		s.eventually(t, "report of sandbox "+sandbox.ID+", which runs without its device", func() bool { return s.plugin.missed(sandbox) })
		if got := look(t.Context(), sandbox); got != "refused: missed" {
			t.Errorf("another container of a missed pod: %s", got)
		}
		s.end(t, sandbox)
	}
	if told := strings.Count(s.plugin.logs.String(), "missed: "); told != len(s.without) {
		t.Errorf("the plugin reports %d pods as missed, want %d", told, len(s.without))
	}
	s.without = nil
}
