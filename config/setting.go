package config

import (
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// defaultSettings returns the settings of an allow rule that lists none: those that
// concern only the pod. "mac" is not one, since it can collide with another machine's.
func defaultSettings() []string {
	return []string{"addresses", "address", "routes", "neighbors", "mtu"}
}

// replaceDefault is the setting that a route with that field needs besides "routes".
const replaceDefault = "replaceDefault"

// knownSettings returns the fields of the annotation that an allow rule can allow. The
// fields that select a device and name it in the pod need no permission.
func knownSettings() []string {
	own := []string{"name", "match", "pool", "newName", "new_name", "prefix"}
	settings := slices.DeleteFunc(RequestFields(), func(f string) bool { return slices.Contains(own, f) })
	return append([]string{"*", replaceDefault}, settings...)
}

func parseSetting(item value) (string, bool) {
	return item.word("setting", knownSettings())
}

// lacks returns the settings that req uses and the rule does not allow.
func (r AllowRule) lacks(req netmove.Request) []string {
	return slices.DeleteFunc(settings(req), r.allows)
}

// settings returns the fields that req sets, as an allow rule names them. It says
// "addresses" for either form of an address.
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
		{replaceDefault, slices.ContainsFunc(req.Routes, func(r netmove.RouteRequest) bool { return r.ReplaceDefault })},
		{"rules", len(req.Rules) > 0},
		{"neighbors", req.Neighbors != nil},
		{"sysctls", req.Sysctls != nil},
		{"announce", req.Announce != nil && *req.Announce}, // to be silent harms nobody
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
