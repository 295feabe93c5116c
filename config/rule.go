package config

import (
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Rule allows some devices to some pods. Every selector that is given must
// hold: the device must be one of Devices, of Drivers, of PCIAddresses and of
// MACs, the pod one of Namespaces and of PodNames.
type Rule struct {
	// Devices are globs over kernel names. An altname is matched only by a
	// device that is written out.
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

	// AcceptLoss is the host state of a device that cannot be put back and
	// may be lost. A device that has other such state is refused.
	AcceptLoss []string `json:"acceptLoss,omitempty"`
}

// defaultSettings are those of a rule that names none: what concerns nobody
// but the pod. A MAC can collide with another machine's.
func defaultSettings() []string {
	return []string{"addresses", "address", "routes", "neighbors", "mtu"}
}

// knownSettings are the fields of the annotation that a rule can allow. Which device a
// pod means, and what it calls it, is always its own affair.
func knownSettings() []string {
	own := []string{"name", "match", "pool", "newName", "new_name", "prefix"}
	settings := slices.DeleteFunc(RequestFields(), func(f string) bool { return slices.Contains(own, f) })
	return append([]string{"*"}, settings...)
}

func parseRule(v value) (Rule, bool) {
	given, ok := v.fields(schema{known: []string{
		"devices", "drivers", "pciAddresses", "macs",
		"namespaces", "podNames", "settings", "acceptLoss",
	}})
	if !ok {
		return Rule{}, false
	}
	if !anyGiven(given, "devices", "drivers", "pciAddresses", "macs") {
		v.refuse("names no device: want devices, drivers, pciAddresses or macs")
	}
	v.require(given, "namespaces")
	rule := Rule{
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

// parseDriver reads the name of a driver, which is no glob: one that looks
// like it is refused, since it would match nothing.
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

func parseSetting(item value) (string, bool) {
	return item.word("setting", knownSettings())
}

func parseLoss(item value) (string, bool) {
	var known []string
	for _, kind := range netmove.LossKinds() {
		known = append(known, string(kind))
	}
	return item.word("loss", known)
}
