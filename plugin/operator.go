package plugin

import (
	"context"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

var _ control.Plugin = (*Plugin)(nil)

// Status describes what sandboxes hold, and the runtime.
func (p *Plugin) Status() control.Status {
	s := control.Status{Status: p.sandboxes.Status()}
	if c := p.registered.Load(); c.accepted() {
		s.Runtime = &c.runtime
	}
	return s
}

// Registered reports whether the runtime has accepted the plugin and still has it.
func (p *Plugin) Registered() bool { return p.registered.Load().accepted() }

// Move moves a device by hand into the namespace at path, as this process sees it.
func (p *Plugin) Move(ctx context.Context, m sandbox.Move, path string) (moved string, err error) {
	return p.sandboxes.Move(ctx, m, path)
}

// Return returns devices by hand.
func (p *Plugin) Return(s sandbox.Selection) (sandbox.Returned, error) {
	return p.sandboxes.ReturnByHand(s)
}

// Inventory returns the devices that the node offers to claims.
func (p *Plugin) Inventory(ctx context.Context, after uint64) (claim.Inventory, error) {
	return p.sandboxes.Inventory(ctx, after)
}

// Prepare reserves the devices of a claim for its pod.
func (p *Plugin) Prepare(c claim.Claim) (claim.Prepared, error) { return p.sandboxes.Prepare(c) }

// Unprepare ends the reservation of a claim.
func (p *Plugin) Unprepare(uid string) error { return p.sandboxes.Unprepare(uid) }

// Claims returns what has become of the claims that are prepared.
func (p *Plugin) Claims(ctx context.Context, after uint64) (claim.Statuses, error) {
	return p.sandboxes.Claims(ctx, after)
}
