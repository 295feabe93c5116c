package config

import (
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Pool is a set of devices: a pod asks for any device of it, and allow rules decide which
// ones the pod may have. A device must match every selector that is given.
type Pool struct {
	Name    string   `json:"name"`
	Devices []string `json:"devices,omitempty"` // globs over kernel names; they match an altname only if they write it out
	Drivers []string `json:"drivers,omitempty"` // as written by ethtool -i, no globs

	// Mixed gives devices that the cluster's scheduler knows of also to pods that ask for
	// them by annotation alone. Scheduler and annotations may then want the same device.
	Mixed bool `json:"mixed,omitempty"`
}

// PoolOf returns the first pool that has the device.
func (c *NodeConfig) PoolOf(dev netmove.Snapshot) (p Pool, ok bool) {
	i := slices.IndexFunc(c.Pools, func(p Pool) bool { return p.Has(dev) })
	if i < 0 {
		return Pool{}, false
	}
	return c.Pools[i], true
}

// AllowUnclaimed decides whether a pod may have the device without a claim while the
// cluster's scheduler knows of the devices of pools. It returns nil or a *DeniedError.
func (c *NodeConfig) AllowUnclaimed(req netmove.Request, dev netmove.Snapshot) error {
	p, ok := c.PoolOf(dev)
	if !ok || p.Mixed {
		return nil
	}
	return denied(req.Device, "device %s is of pool %q, whose devices the cluster's scheduler gives away: ask for one by a resource claim, or ask the node's operator to set mixed: true for the pool",
		quote(req.Device), p.Name)
}

// Pool finds a pool by its name.
func (c *NodeConfig) Pool(name string) (p Pool, ok bool) {
	for _, p := range c.Pools {
		if p.Name == name {
			return p, true
		}
	}
	return Pool{}, false
}

// Has reports whether the pool has the device.
func (p Pool) Has(dev netmove.Snapshot) bool {
	return AllowRule{Devices: p.Devices, Drivers: p.Drivers}.matches(dev)
}

// Rank returns the index of the first glob in Devices that matches the device. Devices
// of a lower rank are tried first.
func (p Pool) Rank(dev netmove.Snapshot) int {
	return slices.IndexFunc(p.Devices, func(glob string) bool { return AllowRule{Devices: []string{glob}}.matches(dev) })
}

func parsePools(v value) []Pool {
	seen := map[string]bool{}
	return each(v, func(item value) (p Pool, ok bool) {
		given, ok := item.fields(schema{known: []string{"name", "devices", "drivers", "mixed"}})
		if !ok {
			return p, false
		}
		item.require(given, "name")
		if !anyGiven(given, "devices", "drivers") {
			item.refuse("has no device: want devices or drivers")
		}
		p = Pool{
			Name:    parsePoolName(given["name"]),
			Devices: each(given["devices"], parseGlob),
			// A template may write an empty list and mean any driver.
			Drivers: each(given["drivers"], parseDriver),
			Mixed:   given["mixed"].boolean(false),
		}
		if len(p.Devices)+len(p.Drivers) == 0 && item.problems.err() == nil {
			item.refuse("has no device: devices and drivers are empty")
		}
		if seen[p.Name] {
			given["name"].refuse("there is a pool %s already", quote(p.Name))
		}
		seen[p.Name] = p.Name != ""
		return p, true
	})
}
