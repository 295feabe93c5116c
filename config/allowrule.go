package config

import (
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// AllowRule allows some devices to some pods. Every selector that is given must
// hold: the device must be one of Devices, of Drivers, of PCIAddresses and of
// MACs, the pod one of Namespaces and of PodNames.
type AllowRule struct {
	// Devices are globs over kernel names. They match an altname only if they
	// write it out.
	Devices []string `json:"devices,omitempty"`

	Drivers      []string      `json:"drivers,omitempty"`      // as written by ethtool -i, no globs
	PCIAddresses []string      `json:"pciAddresses,omitempty"` // globs, such as "0000:02:00.*"
	MACs         []netmove.MAC `json:"macs,omitempty"`         // permanent ones, where the device has one

	Namespaces []string `json:"namespaces"`         // globs; never empty
	PodNames   []string `json:"podNames,omitempty"` // globs; empty: any name

	// Settings are the fields that the pod may set; "*" allows all of them.
	// "addresses" and "address" are two forms of one setting, and either
	// allows both.
	Settings []string `json:"settings"`

	// AcceptLoss lists the kinds of host state that may be lost with a move. A
	// device that would lose state of another kind is refused.
	AcceptLoss []string `json:"acceptLoss,omitempty"`
}

func parseAllowRule(v value) (AllowRule, bool) {
	given, ok := v.fields(schema{known: []string{
		"devices", "drivers", "pciAddresses", "macs",
		"namespaces", "podNames", "settings", "acceptLoss",
	}})
	if !ok {
		return AllowRule{}, false
	}
	if !anyGiven(given, "devices", "drivers", "pciAddresses", "macs") {
		v.refuse("names no device: want devices, drivers, pciAddresses or macs")
	}
	v.require(given, "namespaces")
	rule := AllowRule{
		Devices:      some(given["devices"], parseGlob),
		Drivers:      some(given["drivers"], parseDriver),
		PCIAddresses: some(given["pciAddresses"], parsePCIAddress),
		MACs:         some(given["macs"], parseMAC),
		Namespaces:   some(given["namespaces"], parseGlob),
		PodNames:     some(given["podNames"], parseGlob),
		Settings:     defaultSettings(),
		AcceptLoss:   each(given["acceptLoss"], parseLoss),
	}
	if settings := given["settings"]; settings.given() {
		rule.Settings = each(settings, parseSetting)
	}
	return rule, true
}

func anyGiven(given map[string]value, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return given[name].given() })
}

// parseDriver reads the name of a driver. It refuses a glob, which would match
// no driver.
func parseDriver(item value) (string, bool) {
	text, ok := item.text()
	if ok && (text == "" || !isExact(text)) {
		item.refuse("%s is not the name of a driver, and globs are not for drivers", quote(text))
		return "", false
	}
	return text, ok
}

// parsePCIAddress reads a glob, in lower case as the kernel writes addresses.
func parsePCIAddress(item value) (string, bool) {
	glob, ok := parseGlob(item)
	return strings.ToLower(glob), ok
}

func parseLoss(item value) (string, bool) {
	var known []string
	for _, kind := range netmove.LossKinds() {
		known = append(known, string(kind))
	}
	return item.word("loss", known)
}

// Admits reports whether the rule is for the pod.
func (r AllowRule) Admits(pod Pod) bool { return r.mismatchedPod(pod) == "" }

// mismatchedPod returns the first field of the rule that the pod does not match, "" if
// it matches all.
func (r AllowRule) mismatchedPod(pod Pod) string {
	switch {
	case !matchAny(r.Namespaces, pod.Namespace):
		return "namespaces"
	case len(r.PodNames) > 0 && !matchAny(r.PodNames, pod.Name):
		return "podNames"
	}
	return ""
}

// Selects reports whether the rule is for the device. A device whose other end is
// in another network namespace, and a port of a bridge or bond, is selected only by
// its exact name: a glob was written with other devices in mind.
func (r AllowRule) Selects(dev netmove.Device) bool {
	return r.matches(dev.Snapshot) && (needsName(dev.Role) == "" || r.writesOut(dev.Snapshot))
}

// needsName says why only a rule that writes the device's name out allows it,
// "" if a glob will do.
func needsName(role netmove.Role) string {
	switch {
	case role.ForeignPeer:
		return "its other end is in another network namespace"
	case role.PortOf != "":
		return "it is a port of another device"
	case role.Backup.Route != "":
		return "a default route of worse metric needs it (" + role.Backup.Route + ")"
	}
	return ""
}

func (r AllowRule) matches(dev netmove.Snapshot) bool { return r.mismatched(dev) == "" }

// mismatched returns the first field of the rule that the device does not match, "" if
// it matches all.
func (r AllowRule) mismatched(dev netmove.Snapshot) string {
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

// writesOut reports whether the rule lists the device's name, or one of its
// altnames, exactly. A glob "enp*" in the rule does not write out a device that
// a pod left with the altname "enp*".
func (r AllowRule) writesOut(dev netmove.Snapshot) bool {
	return slices.ContainsFunc(names(dev), func(name string) bool {
		return isExact(name) && slices.Contains(r.Devices, name)
	})
}

// names returns all names of the device, the kernel's first.
func names(dev netmove.Snapshot) []string {
	return append([]string{dev.Name}, dev.Altnames...)
}
