package config

import (
	"net"
	"net/netip"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// minIPv6MTU is what IPv6 needs of a link (RFC 8200, section 5): below it the
// kernel removes IPv6 from a device.
const minIPv6MTU = 1280

// maxEntries bounds each of the lists of routes, rules and neighbors of a device: every
// entry is a request to the kernel while the runtime waits.
const maxEntries = 128

// RequestFields returns the fields of one device in a pod's annotation.
func RequestFields() []string {
	return []string{
		"name", "match", "pool", "newName", "new_name",
		"addresses", "address", "prefix", "mtu", "mac",
		"routes", "rules", "neighbors", "sysctls", "announce", "ethtool",
		"gsoMaxSize", "groMaxSize", "gsoIPv4MaxSize", "groIPv4MaxSize", "detachBPF",
	}
}

// parseRequest reads one device. taken holds what earlier devices of the pod have.
func parseRequest(v value, taken *taken) (netmove.Request, bool) {
	taken.next()
	given, ok := v.fields(schema{known: RequestFields()})
	if !ok {
		return netmove.Request{}, false
	}
	r := parseEntry(given, parseSelector(v, given))
	if r.Pool != "" && !anyGiven(given, "newName", "new_name") {
		r.PodName = taken.nameByPlace()
	}
	taken.add(v, given, r)
	return r, true
}

// parseEntry adds to r what the fields ask for that select no device.
func parseEntry(given map[string]value, r netmove.Request) netmove.Request {
	r.PodName = parsePodName(given["newName"], given["new_name"])
	r.Addresses = parseAddresses(given)
	r.MTU = parseMTU(given["mtu"])
	r.MAC, _ = parseMAC(given["mac"])
	r.Routes = each(given["routes"].atMost(maxEntries), parseRoute)
	r.Rules = each(given["rules"].atMost(maxEntries), parseRule)
	r.Neighbors = parseNeighbors(given["neighbors"].atMost(maxEntries))
	r.Sysctls = parseSysctls(given["sysctls"])
	r.Announce = given["announce"].choice()
	r.Features = parseEthtool(given["ethtool"])
	r.GSOMaxSize = parseMaxSize(given["gsoMaxSize"])
	r.GROMaxSize = parseMaxSize(given["groMaxSize"])
	r.GSOIPv4MaxSize = parseMaxSize(given["gsoIPv4MaxSize"])
	r.GROIPv4MaxSize = parseMaxSize(given["groIPv4MaxSize"])
	r.DetachBPF = given["detachBPF"].boolean(false)
	checkIPv6(given, r)
	return r
}

func parseDevice(name value) string {
	text, ok := name.text()
	if !ok {
		return ""
	}
	if err := checkHostName(text); err != nil {
		name.refuse("%v", err)
		return ""
	}
	return text
}

// parsePodName reads newName, which the NRI sample calls new_name.
func parsePodName(newName, sample value) string {
	name, ok := newName.text()
	if old, given := sample.text(); given {
		if ok && old != name {
			sample.refuse("%s differs from newName: keep one of them", quote(old))
		}
		newName, name, ok = sample, old, true
	}
	if !ok {
		return ""
	}
	if err := CheckPodName(name); err != nil {
		newName.refuse("%v", err)
		return ""
	}
	return name
}

func parseMTU(mtu value) int {
	// 68 is what IPv4 needs of a link (RFC 791), 65535 the largest IP packet.
	n, _ := mtu.integer(68, 65535)
	return n
}

// parseMAC reads a unicast Ethernet address. It refuses addresses of other lengths,
// such as those of InfiniBand.
func parseMAC(mac value) (netmove.MAC, bool) {
	text, ok := mac.text()
	if !ok {
		return nil, false
	}
	parsed, err := net.ParseMAC(text)
	switch {
	case err != nil || len(parsed) != 6:
		mac.refuse("%s is not a MAC address such as \"02:00:00:00:00:01\"", quote(text))
	case parsed[0]&1 != 0:
		mac.refuse("%s is a multicast address: a device needs a unicast one", quote(text))
	case [6]byte(parsed) == [6]byte{}:
		mac.refuse("%s is not an address a device can have", quote(text))
	default:
		return netmove.MAC(parsed), true
	}
	return nil, false
}

// checkIPv6 refuses an MTU or a sysctl that disables IPv6 if the pod asks for IPv6
// addresses, routes or neighbors.
func checkIPv6(given map[string]value, r netmove.Request) {
	var field string
	switch {
	case hasIPv6(r.Addresses, netip.Prefix.Addr):
		field = "addresses"
	case hasIPv6(r.Routes, farEnd):
		field = "routes"
	case hasIPv6(r.Neighbors, func(n netmove.NeighborRequest) netip.Addr { return n.IP }):
		field = "neighbors"
	default:
		return
	}
	if r.MTU != 0 && r.MTU < minIPv6MTU {
		given["mtu"].refuse("%d is too small for the IPv6 %s, which need %d", r.MTU, field, minIPv6MTU)
	}
	if r.Sysctls[netmove.DisableIPv6] == "1" {
		given["sysctls"].field(netmove.DisableIPv6, nil).refuse("1 takes away the IPv6 %s", field)
	}
}

// farEnd is the next hop of a route, or its destination.
func farEnd(r netmove.RouteRequest) netip.Addr {
	if r.Via.IsValid() {
		return r.Via
	}
	return r.To.Addr()
}

func hasIPv6[T any](list []T, addr func(T) netip.Addr) bool {
	for _, x := range list {
		if addr(x).Is6() {
			return true
		}
	}
	return false
}
