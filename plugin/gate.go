package plugin

import (
	"context"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
)

var _ stub.CreateContainerInterface = (*Plugin)(nil)

// CreateContainer is the gate: no container of a pod starts without the devices that the
// pod asks for.
func (p *Plugin) CreateContainer(ctx context.Context, pod *api.PodSandbox, _ *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	if !config.Asks(pod.GetAnnotations()) {
		return nil, nil, nil
	}
	defer p.metrics.answered(hookCreate)()
	s := sandboxOf(pod)
	requests := func() ([]netmove.Request, error) { return config.ParseAnnotations(pod.GetAnnotations()) }
	err := p.inTime(ctx, func(ctx context.Context, c *claim) error { return p.sandboxes.Admit(ctx, s, requests, c) })
	if err != nil {
		p.metrics.refused(err)
		s.Log(p.log).Warn("container refused", "err", err)
		return nil, nil, oneLine(err)
	}
	return nil, nil, nil
}
