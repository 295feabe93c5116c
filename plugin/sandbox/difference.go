package sandbox

import (
	"errors"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Altered is a device that is home and free, but not quite as it was: a minor setting
// could not be put back. The next pod gets the device so.
type Altered struct {
	Device      string               `json:"device"`
	Pod         string               `json:"pod"` // that had it
	Differences []netmove.Difference `json:"differences"`

	identity netmove.Identity
}

// Altered lists the altered devices that nobody has had since.
func (t *Table) Altered() []Altered {
	list := []Altered{}
	for _, device := range t.altered.keys() {
		t.altered.look(device, func(one *Altered) { list = append(list, *one) })
	}
	slices.SortFunc(list, func(a, b Altered) int { return strings.Compare(a.Device, b.Device) })
	return list
}

// alter notes which settings of a device could not be put back.
func (t *Table) alter(a netmove.Attachment, holder string, err error) {
	var minor *netmove.MinorError
	if !errors.As(err, &minor) {
		return
	}
	one := Altered{Device: a.Before.Name, Pod: holder, identity: a.Before.Identity}
	for _, s := range minor.Steps {
		one.Differences = append(one.Differences, netmove.Difference{Attribute: s.Attribute, Text: s.Step + ": " + s.Err.Error()})
		t.observer.Differs(HostSide, s.Attribute)
	}
	t.altered.change(a.Before.Identity.RecognisableName(), func(v *Altered) { *v = one })
}

// forgetAltered drops altered devices that are not on the host any more.
func (t *Table) forgetAltered() {
	for _, device := range t.altered.keys() {
		var id netmove.Identity
		t.altered.look(device, func(one *Altered) { id = one.identity })
		if _, err := t.mover.Host.Find(id, id.Index); errors.Is(err, netmove.ErrNotFound) {
			t.altered.drop(device)
		}
	}
}
