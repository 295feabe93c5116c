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
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// Plugin is the node's plugin. Make it with New.
type Plugin struct {
	sandboxes *sandbox.Table
	metrics   *metrics
	log       *slog.Logger

	hooks   sync.RWMutex   // read by hooks that work, locked for good at the end
	working sync.WaitGroup // work that goes on behind a hook
	timeout atomic.Int64   // how long the runtime waits for an answer, 0 if unknown

	registered atomic.Pointer[connection] // the last connection that the runtime accepted
	handedOver atomic.Bool                // the config came from the runtime, not from the file
}

// NRI finds hooks by their signatures, and never calls a misspelled one.
var (
	_ stub.RunPodInterface      = (*Plugin)(nil)
	_ stub.StopPodInterface     = (*Plugin)(nil)
	_ stub.RemovePodInterface   = (*Plugin)(nil)
	_ stub.ConfigureInterface   = (*connection)(nil)
	_ stub.SynchronizeInterface = (*connection)(nil)
)

// New makes a plugin that moves devices with mover, keeps its records in j, and starts out
// with the node config c.
func New(kernel sandbox.Kernel, mover *netmove.Mover, j *journal.Journal, folders sandbox.Folders, c *config.NodeConfig, log *slog.Logger) *Plugin {
	p := &Plugin{log: log, metrics: newMetrics()}
	p.sandboxes = sandbox.New(kernel, mover, j, folders, c, p.metrics, log)
	p.metrics.registry.MustRegister(states{p})
	mover.Moved = func(took time.Duration) { p.metrics.moveTook.Observe(took.Seconds()) }
	return p
}

// Sandboxes returns the table of the node's sandboxes.
func (p *Plugin) Sandboxes() *sandbox.Table { return p.sandboxes }

// SetConfig replaces the node config by the file's, and reports whether it did: a config
// that the runtime has handed over counts in place of the file.
func (p *Plugin) SetConfig(c *config.NodeConfig) bool {
	if p.handedOver.Load() {
		return false
	}
	p.sandboxes.SetConfig(c)
	p.metrics.reloaded(valid)
	return true
}

// RefuseConfig counts a node config that is not valid. The one in force stays.
func (p *Plugin) RefuseConfig() { p.metrics.reloaded(invalid) }

// requestTimeout returns how long the runtime waits for an answer, 0 if unknown.
func (p *Plugin) requestTimeout() time.Duration { return time.Duration(p.timeout.Load()) }

// asks reports whether a pod may have devices, by its annotations or by claims. It allocates
// nothing, since it is called for every pod.
func (p *Plugin) asks(pod *api.PodSandbox) bool {
	return config.Asks(pod.GetAnnotations()) || p.sandboxes.Claimed(pod.GetUid())
}

// RunPodSandbox moves the pod's devices into its network namespace. An error
// keeps the pod from starting.
func (p *Plugin) RunPodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	if !p.asks(pod) {
		return nil
	}
	defer p.metrics.answered(hookRun)()
	s := sandboxOf(pod)
	err := p.inTime(ctx, func(ctx context.Context, c *race) error {
		requests, err := config.ParseAnnotations(pod.GetAnnotations())
		if err != nil {
			return err
		}
		return p.sandboxes.Attach(ctx, s, requests, c)
	})
	if err == nil {
		return nil
	}
	p.metrics.refused(err)
	s.Log(p.log).Warn("pod refused", "err", err)
	return oneLine(err)
}

// StopPodSandbox returns the pod's devices. It never fails: the runtime cannot do anything
// about an error, and would skip the hooks of other plugins. The sweep tries again.
func (p *Plugin) StopPodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	p.podEnds(ctx, pod, hookStop)
	return nil
}

// RemovePodSandbox does the same, for runtimes that skip StopPodSandbox.
func (p *Plugin) RemovePodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	p.podEnds(ctx, pod, hookRemove)
	return nil
}

func (p *Plugin) podEnds(ctx context.Context, pod *api.PodSandbox, h hook) {
	if !p.asks(pod) {
		return
	}
	defer p.metrics.answered(h)()
	s := sandboxOf(pod)
	err := p.inTime(ctx, func(context.Context, *race) error {
		p.sandboxes.End(s.ID)
		return nil
	})
	if err != nil {
		s.Log(p.log).Warn("the return of the pod's devices takes longer than the runtime waits, and goes on", "err", err)
	}
}

// oneLine joins the lines of an error, since the pod's events lose line breaks.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
