package plugin

import (
	"context"
	"errors"
	"sync"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

var _ stub.CreateContainerInterface = (*Plugin)(nil)

// errMissed is what the author of a pod reads that runs without its devices.
var errMissed = errors.New("pod runs without the devices that it asks for, since it started while nri-netdev was away: delete it, so that it starts anew")

// CreateContainer is the gate. A runtime starts pods also while the plugin is
// away or does not answer, without their devices: such a pod gets them now if
// it has no container yet, and no container otherwise. What decides is the
// journal's word and not the devices' names, since programs rename devices.
func (p *Plugin) CreateContainer(ctx context.Context, pod *api.PodSandbox, _ *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	if !config.Asks(pod.GetAnnotations()) {
		return nil, nil, nil
	}
	defer p.metrics.answered(hookCreate)()
	err := p.inTime(ctx, func(ctx context.Context, c *claim) error { return p.gate(ctx, pod, c) })
	if err != nil {
		p.metrics.refused(err)
		p.podLog(pod).Warn("container refused", "err", err)
		return nil, nil, oneLine(err)
	}
	p.populated.add(pod.GetId())
	return nil, nil, nil
}

func (p *Plugin) gate(ctx context.Context, pod *api.PodSandbox, c *claim) error {
	if p.hasDevices(pod) {
		return nil
	}
	if p.populated.has(pod.GetId()) && asksForDevices(pod) {
		p.reportMissed(pod)
		return errMissed
	}
	return p.attach(ctx, pod, c)
}

// hasDevices reports whether the journal says that the pod has its devices.
func (p *Plugin) hasDevices(pod *api.PodSandbox) bool {
	r, ok := p.journal.Get(pod.GetId())
	return ok && r.State == journal.Attached
}

// asksForDevices reports whether the pod asks for any, if only by mistake.
func asksForDevices(pod *api.PodSandbox) bool {
	requests, err := config.ParseAnnotations(pod.GetAnnotations())
	return err != nil || len(requests) > 0
}

// findMissed reports the pods that run without their devices, by what the
// runtime lists. They are not touched: their containers would not expect it.
func (p *Plugin) findMissed(pods []*api.PodSandbox, containers []*api.Container) {
	asking := map[string]*api.PodSandbox{}
	for _, pod := range pods {
		if config.Asks(pod.GetAnnotations()) {
			asking[pod.GetId()] = pod
		}
	}
	for _, c := range containers {
		pod, ok := asking[c.GetPodSandboxId()]
		if !ok {
			continue
		}
		delete(asking, pod.GetId()) // told once
		p.populated.add(pod.GetId())
		if !p.hasDevices(pod) && asksForDevices(pod) {
			p.reportMissed(pod)
		}
	}
}

func (p *Plugin) reportMissed(pod *api.PodSandbox) {
	if p.missed.add(pod) {
		p.podLog(pod).Error("missed: the pod runs without the devices that it asks for", "hint", "delete the pod")
	}
}

// populated are the sandboxes with devices that have had a container. The
// zero value is ready.
type populated struct {
	mu        sync.Mutex
	sandboxes map[string]bool
}

func (p *populated) add(sandbox string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sandboxes == nil {
		p.sandboxes = map[string]bool{}
	}
	p.sandboxes[sandbox] = true
}

func (p *populated) has(sandbox string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sandboxes[sandbox]
}

func (p *populated) forget(sandbox string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sandboxes, sandbox)
}
