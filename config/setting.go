package config

import (
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

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

func parseSetting(item value) (string, bool) {
	return item.word("setting", knownSettings())
}

// lacks returns the settings that req uses and the rule does not allow.
func (r AllowRule) lacks(req netmove.Request) []string {
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

func (r AllowRule) allows(setting string) bool {
	return slices.Contains(r.Settings, setting) || slices.Contains(r.Settings, "*") ||
		setting == "addresses" && slices.Contains(r.Settings, "address")
}
