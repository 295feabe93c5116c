package config

import (
	"regexp"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// parseSelector reads exactly one of name, match and pool.
func parseSelector(v value, given map[string]value) (r netmove.Request) {
	r.Device = parseDevice(given["name"])
	r.Match = parseMatch(given["match"])
	r.Pool = parsePoolName(given["pool"])
	first := ""
	for _, name := range []string{"name", "match", "pool"} {
		switch {
		case !given[name].given():
		case first != "":
			given[name].refuse("give %s or %s, not both", first, name)
		default:
			first = name
		}
	}
	if first == "" {
		v.field("name", nil).refuse("required, unless match or pool is given")
	}
	return r
}

func parseMatch(v value) (m netmove.Match) {
	given, ok := v.fields(schema{known: []string{"mac", "pciAddress", "driver"}})
	if !ok {
		return m
	}
	if len(v.node.Content) == 0 {
		v.refuse("empty: want mac, pciAddress or driver")
	}
	m.MAC, _ = parseMAC(given["mac"])
	m.PCIAddress = parseExactPCIAddress(given["pciAddress"])
	m.Driver, _ = parseDriver(given["driver"])
	return m
}

var pciAddress = regexp.MustCompile(`^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// parseExactPCIAddress reads an address as the kernel writes it, in either case.
func parseExactPCIAddress(v value) string {
	text, ok := v.text()
	if ok && !pciAddress.MatchString(strings.ToLower(text)) {
		v.refuse("%s is not a PCI address with its domain, such as \"0000:02:00.0\"", quote(text))
		return ""
	}
	return strings.ToLower(text)
}

var poolName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func parsePoolName(v value) string {
	text, ok := v.text()
	if ok && !poolName.MatchString(text) {
		v.refuse("%s is not the name of a pool: want letters, digits, \".\", \"_\" and \"-\", at most 63", quote(text))
		return ""
	}
	return text
}
