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
		given, ok := item.fields(schema{known: []string{"name", "devices", "drivers"}})
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
