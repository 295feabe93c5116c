package doctor

import (
	"time"

	"github.com/nri-netdev/nri-netdev/plugin/control"
)

// enoughTime is how long a runtime should wait for an answer.
const enoughTime = 2 * time.Second

// Plugin is what the running plugin answers, or what its journal says.
type Plugin struct {
	Running bool           // somebody listens on the control socket
	Status  control.Status // from the journal if none runs
	Err     error          // why there is no status
	Now     time.Time
}

// CheckPlugin judges whether the plugin runs, is registered and has enough time. It also
// judges the devices and pods in the status.
func CheckPlugin(p Plugin) Findings {
	var f notes
	if p.Err != nil {
		f.add("plugin", Fail, "run as root; look at what the plugin logs", "%v", p.Err)
		return f.Findings
	}
	p.registration(&f)
	p.devices(&f)
	for _, m := range p.Status.Missed {
		f.add("pod "+m.Pod, Warn, "delete it", "runs without the devices that it asks for")
	}
	return f.Findings
}

func (p Plugin) registration(f *notes) {
	const check = "plugin"
	r := p.Status.Runtime
	if !p.Running {
		f.add(check, Warn, "start it: until then, no device of a pod that ends comes home", "it does not run")
		return
	}
	if r == nil {
		f.add(check, Fail, "look at what it logs, and at the NRI socket", "it is not registered with the runtime")
		return
	}
	level := OK
	if wait, err := time.ParseDuration(r.RequestTimeout); err == nil && wait < enoughTime {
		level = Warn
	}
	f.add(check, level, "raise plugin_request_timeout of the runtime's NRI to 2s or more: pods with many devices are refused",
		"registered with %s %s, which waits %s for an answer", r.Name, r.Version, r.RequestTimeout)
}
