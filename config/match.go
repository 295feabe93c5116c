package config

import (
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Admits reports whether the rule is for the pod.
func (r Rule) Admits(pod Pod) bool {
	return matchAny(r.Namespaces, pod.Namespace) &&
		(len(r.PodNames) == 0 || matchAny(r.PodNames, pod.Name))
}

// Selects reports whether the rule is for the device. One that is somebody
// else's cable, or part of a bridge or bond, is selected by its name only, and
// not by a glob that was written with other devices in mind.
func (r Rule) Selects(dev netmove.Snapshot) bool {
	return r.matches(dev) && (needsName(dev.Role) == "" || r.writesOut(dev))
}

// needsName says why only a rule that writes the device's name out allows it,
// "" if a glob will do.
func needsName(role netmove.Role) string {
	switch {
	case role.ForeignPeer:
		return "its other end is in another network namespace"
	case role.PortOf != "":
		return "it is a port of another device"
	}
	return ""
}

func (r Rule) matches(dev netmove.Snapshot) bool {
	id := dev.Identity
	return (len(r.Devices) == 0 || matchAny(r.Devices, dev.Name) || r.writesOut(dev)) &&
		(len(r.Drivers) == 0 || slices.Contains(r.Drivers, id.DriverName())) &&
		(len(r.PCIAddresses) == 0 || matchAny(r.PCIAddresses, id.PCIAddress())) &&
		(len(r.MACs) == 0 || slices.ContainsFunc(r.MACs, dev.LastingMAC().Equal))
}

// writesOut reports whether the rule has the device's name, or one of its
// altnames, without a glob. A device that some pod left with the altname
// "enp*" is not written out by the glob that reads the same.
func (r Rule) writesOut(dev netmove.Snapshot) bool {
	return slices.ContainsFunc(names(dev), func(name string) bool {
		return isExact(name) && slices.Contains(r.Devices, name)
	})
}

// names returns all names of the device, the kernel's first.
func names(dev netmove.Snapshot) []string {
	return append([]string{dev.Name}, dev.Altnames...)
}

// lacks returns the settings that req uses and the rule does not allow.
func (r Rule) lacks(req netmove.Request) []string {
	return slices.DeleteFunc(settings(req), r.allows)
}

// settings returns the fields that req sets, as a rule names them. Which form
// an address had is not known any more.
func settings(req netmove.Request) []string {
	var used []string
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"addresses", req.Addresses != nil},
		{"mtu", req.MTU != 0},
		{"mac", req.MAC != nil},
		{"routes", req.Routes != nil},
		{"rules", req.Rules != nil},
		{"neighbors", req.Neighbors != nil},
		{"sysctls", req.Sysctls != nil},
		{"ethtool", req.Features != nil},
		{"gsoMaxSize", req.GSOMaxSize != 0},
		{"groMaxSize", req.GROMaxSize != 0},
		{"gsoIPv4MaxSize", req.GSOIPv4MaxSize != 0},
		{"groIPv4MaxSize", req.GROIPv4MaxSize != 0},
		{"detachBPF", req.DetachBPF},
	} {
		if s.set {
			used = append(used, s.name)
		}
	}
	return used
}

func (r Rule) allows(setting string) bool {
	return slices.Contains(r.Settings, setting) || slices.Contains(r.Settings, "*") ||
		setting == "addresses" && slices.Contains(r.Settings, "address")
}
