package plugin

import "github.com/nri-netdev/nri-netdev/plugin/sandbox"

// Status is what the plugin knows of devices that are away, and of itself.
type Status struct {
	sandbox.Status
	Runtime *Runtime `json:"runtime,omitempty"` // that the plugin is registered with; nil while it is not
}

// Runtime is the container runtime.
type Runtime struct {
	Name           string `json:"name"`
	Version        string `json:"version"`
	NRI            string `json:"nri,omitempty"`  // version of its NRI, if it tells
	RequestTimeout string `json:"requestTimeout"` // how long it waits for an answer
}

// Status describes what sandboxes hold, and the runtime.
func (p *Plugin) Status() Status {
	s := Status{Status: p.sandboxes.Status()}
	if c := p.registered.Load(); c.accepted() {
		s.Runtime = &c.runtime
	}
	return s
}

// Registered reports whether the runtime has accepted the plugin and still has it.
func (p *Plugin) Registered() bool { return p.registered.Load().accepted() }
