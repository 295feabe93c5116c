package plugin

import (
	"context"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

var _ stub.CreateContainerInterface = (*Plugin)(nil)

// CreateContainer is the gate: no container of a pod starts without the devices that the
// pod asks for.
func (p *Plugin) CreateContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	if err := p.checkCDI(pod, container); err != nil {
		return nil, nil, p.refuse(pod, err)
	}
	if !p.asks(pod) {
		return nil, nil, nil
	}
	defer p.metrics.answered(hookCreate)()
	s := sandboxOf(pod)
	requests := func() ([]netmove.Request, error) { return config.ParseAnnotations(pod.GetAnnotations()) }
	err := p.inTime(ctx, func(ctx context.Context, c *race) error { return p.sandboxes.Admit(ctx, s, requests, c) })
	if err != nil {
		return nil, nil, p.refuse(pod, err)
	}
	return nil, nil, nil
}

// refuse logs and counts a container that is refused.
func (p *Plugin) refuse(pod *api.PodSandbox, err error) error {
	p.metrics.refused(err)
	sandboxOf(pod).Log(p.log).Warn("container refused", "err", err)
	return oneLine(err)
}

// checkCDI refuses a container that asks for a device of a claim that is another pod's.
func (p *Plugin) checkCDI(pod *api.PodSandbox, container *api.Container) error {
	for _, device := range container.GetCDIDevices() {
		if name := device.GetName(); sandbox.IsOurs(name) {
			if err := p.sandboxes.CheckCDI(pod.GetUid(), name); err != nil {
				return err
			}
		}
	}
	return nil
}
