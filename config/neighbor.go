package config

import (
	"net/netip"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// parseNeighbors reads the permanent neighbors of a device.
func parseNeighbors(v value) []netmove.NeighborRequest {
	seen := map[netip.Addr]bool{}
	return each(v, func(item value) (n netmove.NeighborRequest, ok bool) {
		given, ok := item.fields(schema{known: []string{"ip", "mac"}})
		if !ok {
			return n, false
		}
		item.require(given, "ip", "mac")
		n.IP = parseAddr(given["ip"])
		n.MAC, ok = parseMAC(given["mac"])
		if seen[n.IP] {
			given["ip"].refuse("%s is given twice", n.IP)
		}
		seen[n.IP] = n.IP.IsValid()
		return n, ok && n.IP.IsValid()
	})
}
