package plugin

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Altered is a device that is home and free, and not quite as it was: a setting
// without which it is of use could not be put back.
type Altered struct {
	Device      string               `json:"device"`
	Pod         string               `json:"pod"` // that had it
	Differences []netmove.Difference `json:"differences"`
}

// altered are the devices of this kind that nobody has had since. The zero value
// is ready.
type altered struct {
	mu      sync.Mutex
	devices map[string]Altered
}

func (a *altered) add(one Altered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.devices == nil {
		a.devices = map[string]Altered{}
	}
	a.devices[one.Device] = one
}

func (a *altered) forget(device string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.devices, device)
}

// list is ordered by device.
func (a *altered) list() []Altered {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := slices.AppendSeq([]Altered{}, maps.Values(a.devices))
	slices.SortFunc(list, func(a, b Altered) int { return cmp.Compare(a.Device, b.Device) })
	return list
}

// settle ends the tries to put back the last settings of a device. Who has it
// next has it as it is now.
func (g *giving) settle(a netmove.Attachment, minor *netmove.MinorError) bool {
	one := Altered{Device: a.Before.Name, Pod: g.left.Holder()}
	for _, s := range minor.Steps {
		one.Differences = append(one.Differences, netmove.Difference{Attribute: s.Attribute, Text: s.Step + ": " + s.Err.Error()})
		g.metrics.differs("host", s.Attribute)
	}
	g.altered.add(one)
	g.done(a.Before.Identity.RecognisableName(), returned)
	g.home = append(g.home, a.Before.Name)
	g.log.Error("device is home, and not quite as it was", "device", a.Before.Name, "err", minor)
	return true
}

// compared tells of devices that are attached and not quite as meant.
func (p *Plugin) compared(log *slog.Logger, plan netmove.Plan) {
	for _, a := range plan {
		p.altered.forget(a.Before.Name)
		for _, d := range a.Differences {
			p.metrics.differs("pod", d.Attribute)
			log.Warn("device is not in the pod as meant", "device", a.Before.Name, "attribute", d.Attribute, "is", d.Text)
		}
	}
}
