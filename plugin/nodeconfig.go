package plugin

import "github.com/nri-netdev/nri-netdev/config"

// AllowNothing counts a node config that is not valid, and puts config.Invalid in force
// unless the runtime has handed a config over. It is for a node that has had no valid
// config yet; RefuseConfig keeps the config in force.
func (p *Plugin) AllowNothing(reason error) {
	p.metrics.reloaded(invalid)
	if !p.handedOver.Load() {
		p.sandboxes.SetConfig(config.Invalid(reason))
	}
}

// ConfigProblem returns why the node config in force allows nothing, nil if it is
// valid.
func (p *Plugin) ConfigProblem() error { return p.sandboxes.Config().Problem }
