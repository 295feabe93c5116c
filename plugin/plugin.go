// Package plugin is the NRI side of the program: it turns the events of pods
// into moves of devices.
//
// A hook does little: it bounds the time, calls down, and logs once. attach.go
// is what happens when a pod starts, giveback.go when it ends, serve.go keeps
// the connection to the runtime. For a pod without the annotation nothing
// happens at all: no lock, no netlink message, no disk access.
package plugin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Plugin is the node's plugin. Make it with New.
type Plugin struct {
	mover   *netmove.Mover
	journal *journal.Journal
	log     *slog.Logger
	config  atomic.Pointer[config.NodeConfig]

	locks locks
	holds *holds
	ends  *ends

	populated populated
	pace      pace
	told      told
	misses    misses
	missed    missed
	altered   altered
	metrics   *metrics
	hooks     sync.RWMutex            // read by hooks that work, locked for good at the end
	working   sync.WaitGroup          // work that goes on behind a hook
	timeout   atomic.Int64            // the runtime's for a request, 0 as long as none is known
	runtime   atomic.Pointer[Runtime] // of the last registration
	ready     atomic.Bool             // registered with the runtime

	left      []*journal.Record // by the process before this one
	recovered atomic.Bool       // nothing of that is left to do

	handedOver atomic.Bool // config is the runtime's, not the file's
}

// NRI finds hooks by their signature: one that is misspelt is never called.
var (
	_ stub.SynchronizeInterface = (*Plugin)(nil)
	_ stub.RunPodInterface      = (*Plugin)(nil)
	_ stub.StopPodInterface     = (*Plugin)(nil)
	_ stub.RemovePodInterface   = (*Plugin)(nil)
	_ stub.ConfigureInterface   = (*connection)(nil)
)

// New makes a plugin that moves devices with mover, keeps its records in j and
// its pins below the state folder, and starts out with the node config c.
func New(mover *netmove.Mover, j *journal.Journal, state string, c *config.NodeConfig, log *slog.Logger) *Plugin {
	p := &Plugin{
		mover: mover, journal: j, log: log, left: j.All(),
		holds: newHolds(mover.Kernel, state, log),
		ends:  newEnds(mover.Kernel, log),
	}
	p.metrics = newMetrics(p)
	mover.Moved = func(took time.Duration) { p.metrics.moveTook.Observe(took.Seconds()) }
	p.config.Store(c)
	return p
}

// SetConfig replaces the node config by one from the file, unless the runtime
// has handed one over, which counts in place of the file. It reports whether
// it did. Pods that have their devices keep them.
func (p *Plugin) SetConfig(c *config.NodeConfig) bool {
	if p.handedOver.Load() {
		return false
	}
	p.config.Store(c)
	p.metrics.reloaded(valid)
	return true
}

// RefuseConfig counts a node config that is not valid, and so changes nothing.
func (p *Plugin) RefuseConfig() { p.metrics.reloaded(invalid) }

// requestTimeout is the runtime's time-out of a request.
func (p *Plugin) requestTimeout() time.Duration { return time.Duration(p.timeout.Load()) }

// Synchronize is told of the pods that exist. It answers at once; what follows
// from it, the sweep finds.
func (p *Plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	has := make(map[string]bool, len(pods))
	for _, pod := range pods {
		has[pod.GetId()] = true
	}
	p.ends.listed(p.journal.All(), has)
	p.missed.only(has)
	p.findMissed(pods, containers)
	return nil, nil
}

// RunPodSandbox moves the pod's devices into its network namespace. An error
// keeps the pod from starting.
func (p *Plugin) RunPodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	if !config.Asks(pod.GetAnnotations()) {
		return nil
	}
	defer p.metrics.answered(hookRun)()
	err := p.inTime(ctx, func(ctx context.Context, c *claim) error { return p.attach(ctx, pod, c) })
	if err == nil {
		return nil
	}
	p.metrics.refused(err)
	p.podLog(pod).Warn("pod refused", "err", err)
	return oneLine(err)
}

// StopPodSandbox gives back what the pod holds. The runtime cannot do anything
// about an error, and would skip the hooks of other plugins for it: what
// cannot be returned now is tried again by the sweep.
func (p *Plugin) StopPodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	return p.podEnds(ctx, pod, hookStop)
}

// RemovePodSandbox does the same, for runtimes that skip StopPodSandbox.
func (p *Plugin) RemovePodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	return p.podEnds(ctx, pod, hookRemove)
}

func (p *Plugin) podEnds(ctx context.Context, pod *api.PodSandbox, h hook) error {
	if !config.Asks(pod.GetAnnotations()) {
		return nil
	}
	defer p.metrics.answered(h)()
	p.populated.forget(pod.GetId())
	p.missed.forget(pod.GetId())
	err := p.inTime(ctx, func(context.Context, *claim) error {
		_ = p.giveBack(pod.GetId(), podEnded) // logged, and tried again by the sweep
		return nil
	})
	if err != nil {
		p.podLog(pod).Warn("the return of the pod's devices takes longer than the runtime waits, and goes on", "err", err)
	}
	return nil
}

func (p *Plugin) podLog(pod *api.PodSandbox) *slog.Logger {
	return p.log.With("pod", pod.GetNamespace()+"/"+pod.GetName(), "uid", pod.GetUid(), "sandbox", pod.GetId())
}

// oneLine is the error as it reaches the pod's events, where lines are lost.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
