package doctor

import (
	"time"

	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// enoughWork is how long an attach or a return may take before it is a finding.
const enoughWork = time.Minute

// devices judges the devices that are not in a pod as meant, or not on the host
// as before.
func (p Plugin) devices(f *notes) {
	for _, a := range p.Status.Attachments {
		if p.underWay(a) {
			continue
		}
		text := string(a.State)
		if a.Problem != "" {
			text += ": " + a.Problem
		}
		f.add("device "+a.Device, Warn, adviceFor(a), "%s", text)
	}
	for _, a := range p.Status.Altered {
		f.add("device "+a.Device, Warn, "nri-netdev status shows them", "not as it was before %s: %d differences", a.Pod, len(a.Differences))
	}
}

// underWay reports whether nothing is wrong with the device yet.
func (p Plugin) underWay(a sandbox.Attachment) bool {
	switch a.State {
	case sandbox.StateAttached:
		return true
	case sandbox.StateAttaching, sandbox.StateReturning:
		return p.Now.Sub(a.Since) < enoughWork && a.Problem == ""
	}
	return false
}

func adviceFor(a sandbox.Attachment) string {
	switch a.State {
	case sandbox.StateMisnamed:
		return "free its name: the device gets the name within a second"
	case sandbox.StateQuarantined:
		return "look at it, then nri-netdev return " + a.Device
	case sandbox.StateLost:
		return "nri-netdev return " + a.Device + " looks once more, and forgets a virtual device that is gone"
	}
	return ""
}
