package config

import (
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Admits reports whether the rule is for the pod.
func (r Rule) Admits(pod Pod) bool { return r.mismatchedPod(pod) == "" }

// mismatchedPod is the field of the rule because of which it is not for the pod, "" if
// it is.
func (r Rule) mismatchedPod(pod Pod) string {
	switch {
	case !matchAny(r.Namespaces, pod.Namespace):
		return "namespaces"
	case len(r.PodNames) > 0 && !matchAny(r.PodNames, pod.Name):
		return "podNames"
	}
	return ""
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

func (r Rule) matches(dev netmove.Snapshot) bool { return r.mismatched(dev) == "" }

// mismatched is the field of the rule that the device is not of, "" if it is of all.
func (r Rule) mismatched(dev netmove.Snapshot) string {
	id := dev.Identity
	switch {
	case len(r.Devices) > 0 && !matchAny(r.Devices, dev.Name) && !r.writesOut(dev):
		return "devices"
	case len(r.Drivers) > 0 && !slices.Contains(r.Drivers, id.DriverName()):
		return "drivers"
	case len(r.PCIAddresses) > 0 && !matchAny(r.PCIAddresses, id.PCIAddress()):
		return "pciAddresses"
	case len(r.MACs) > 0 && !slices.ContainsFunc(r.MACs, dev.LastingMAC().Equal):
		return "macs"
	}
	return ""
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
