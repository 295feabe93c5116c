package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// List reads every device, by name.
func (ns *Namespace) List() ([]netmove.Snapshot, error) {
	names, err := ns.sysfs.names(allDevices)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var list []netmove.Snapshot
	for _, name := range names {
		dev, err := ns.ByName(name)
		if errors.Is(err, netmove.ErrNotFound) || errors.Is(err, errNoDevice) {
			continue // went away meanwhile, or is a driver's file
		}
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", name, err)
		}
		list = append(list, dev)
	}
	return list, nil
}
