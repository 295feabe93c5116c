package netmove

import (
	"errors"
	"fmt"
)

// OthersRoute is a route of other devices that goes with an address of a device.
type OthersRoute struct {
	Entry // of the first device of Through

	// Through are the devices that carry it; none for one that drops what it meets.
	Through []Identity `json:"through,omitempty"`
}

// mendRoutes puts back the routes of other devices that went with the addresses of the
// one that was away. What the host has put in their place meanwhile stays.
func (m *Mover) mendRoutes(before Snapshot) (left []*StepError) {
	for _, r := range before.OthersRoutes {
		if err := m.putOthersRoute(before.Identity.Index, r); err != nil {
			left = append(left, &StepError{Device: before.Name, Step: "add " + r.Text, Attribute: "routes of others", Err: err})
		}
	}
	return left
}

func (m *Mover) putOthersRoute(index int, r OthersRoute) error {
	for i, id := range r.Through {
		dev, err := m.Host.Find(id, id.Index)
		if errors.Is(err, ErrNotFound) {
			return nil // the route would have gone with its device
		}
		if err != nil {
			return fmt.Errorf("look at the device: %w", err)
		}
		if i == 0 {
			index = dev.Identity.Index
		}
	}
	if err := m.Host.PutEntry(index, r.Entry); !errors.Is(err, ErrExists) {
		return err
	}
	return nil
}
