package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Devices reads every device of the namespace, by name.
func (ns *Namespace) Devices() ([]netmove.Snapshot, error) { return ns.each(ns.Snapshot) }

// Links does, without addresses and role.
func (ns *Namespace) Links() ([]netmove.Snapshot, error) { return ns.each(ns.Link) }

func (ns *Namespace) each(read func(name string) (netmove.Snapshot, error)) ([]netmove.Snapshot, error) {
	names, err := ns.sysfs.names(allDevices)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var list []netmove.Snapshot
	for _, name := range names {
		var dev netmove.Snapshot
		err := undisturbed(func() (err error) {
			dev, err = read(name)
			return err
		})
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
