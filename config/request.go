package config

import (
	"net"
	"net/netip"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// minIPv6MTU is what IPv6 needs of a link (RFC 8200, section 5): below it the
// kernel removes IPv6 from a device.
const minIPv6MTU = 1280

// requestSchema are the fields of one device in a pod's annotation.
func requestSchema() schema {
	return schema{
		known: []string{
			"name", "newName", "new_name",
			"addresses", "address", "prefix",
			"mtu", "mac",
		},
		later: []string{
			"match", "pool", "routes", "rules", "neighbors", "sysctls", "ethtool",
			"gsoMaxSize", "groMaxSize", "gsoIPv4MaxSize", "groIPv4MaxSize", "detachBPF",
		},
	}
}

// parseRequest reads one device. claims are what the devices before it have.
func parseRequest(v value, claims *claims) (netmove.Request, bool) {
	claims.next()
	given, ok := v.fields(requestSchema())
	if !ok {
		return netmove.Request{}, false
	}
	v.require(given, "name")
	r := netmove.Request{
		Device:    parseDevice(given["name"]),
		PodName:   parsePodName(given["newName"], given["new_name"]),
		Addresses: parseAddresses(given),
		MTU:       parseMTU(given["mtu"]),
	}
	r.MAC, _ = parseMAC(given["mac"])
	if r.MTU != 0 && r.MTU < minIPv6MTU && hasIPv6(r.Addresses) {
		given["mtu"].refuse("%d is too small for the IPv6 addresses, which need %d", r.MTU, minIPv6MTU)
	}
	claims.add(v, given, r)
	return r, true
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

// parseMAC reads a unicast Ethernet address. Devices with other ones, such as
// InfiniBand's, keep their own.
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

func hasIPv6(addresses []netip.Prefix) bool {
	for _, a := range addresses {
		if a.Addr().Is6() {
			return true
		}
	}
	return false
}
