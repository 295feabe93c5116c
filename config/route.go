package config

import (
	"math"
	"net/netip"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// parseRoute reads one route of a device.
func parseRoute(v value) (r netmove.RouteRequest, ok bool) {
	given, ok := v.fields(schema{known: []string{"to", "via", "src", "metric", "table", "scope", "onLink", replaceDefault}})
	if !ok {
		return r, false
	}
	v.require(given, "to")
	before := v.problems.count()
	r.Via = parseAddr(given["via"])
	r.Src = parseAddr(given["src"])
	r.To = parseTo(given["to"], r.Via)
	r.Metric = parseUint32(given["metric"], 0)
	r.Table = parseUint32(given["table"], 1)
	r.OnLink = given["onLink"].boolean(false)
	r.ReplaceDefault = given[replaceDefault].boolean(false)
	r.Scope = parseScope(given["scope"], r)
	if v.problems.count() > before || !r.To.IsValid() {
		return r, false // the fields cannot be compared
	}
	checkRoute(given, r)
	return r, true
}

// checkRoute refuses fields that contradict one another.
func checkRoute(given map[string]value, r netmove.RouteRequest) {
	if r.Via.IsValid() && r.Via.Is4() && r.To.Addr().Is6() {
		given["via"].refuse("%s and the destination %s are of different families", r.Via, r.To)
	}
	if r.Src.IsValid() && r.Src.Is6() != r.To.Addr().Is6() {
		given["src"].refuse("%s and the destination %s are of different families", r.Src, r.To)
	}
	switch {
	case r.ReplaceDefault && r.To.Bits() > 0:
		given[replaceDefault].refuse("is for a route to \"default\", not to %s", r.To)
	case r.ReplaceDefault && r.Table != 0 && r.Table != mainTable:
		given[replaceDefault].refuse("is for the table main, not for %d", r.Table)
	case r.ReplaceDefault && r.Metric > maxReplacing:
		given["metric"].refuse("is at most %d with replaceDefault: the pod's own default route gets a worse one", maxReplacing)
	case r.OnLink && !r.Via.IsValid():
		given["onLink"].refuse("is of no use without via")
	case r.Via.IsValid() && r.Scope >= netmove.ScopeLink:
		given["scope"].refuse("a route with via reaches further than the link")
	}
}

// maxReplacing is the worst metric of a default route that others are to be worse than.
const maxReplacing = math.MaxInt32

// parseTo reads a destination: a network, an address, or "default" with the family
// of the next hop.
func parseTo(v value, via netip.Addr) netip.Prefix {
	if text, ok := v.quietText(); ok && text == "default" {
		switch {
		case !via.IsValid():
			v.refuse("\"default\" without via can be IPv4 or IPv6: write \"0.0.0.0/0\" or \"::/0\"")
			return netip.Prefix{}
		case via.Is6():
			return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return parseNetwork(v)
}

// parseUint32 reads a number of 32 bits, at least low. It returns 0 if none is given.
func parseUint32(v value, low int) uint32 {
	n, _ := v.integer(low, math.MaxUint32)
	return uint32(n)
}

// scopes are the names of ip-route(8).
func scopes() map[string]netmove.Scope {
	return map[string]netmove.Scope{
		"global": netmove.ScopeGlobal, "site": netmove.ScopeSite, "link": netmove.ScopeLink, "host": netmove.ScopeHost,
	}
}

// parseScope reads a scope by its name or number. The default is as in ip-route(8): link
// for an IPv4 destination on the link, else global. IPv6 has no scopes.
func parseScope(v value, r netmove.RouteRequest) netmove.Scope {
	scope := netmove.ScopeGlobal
	if !r.Via.IsValid() {
		scope = netmove.ScopeLink
	}
	if v.given() && kindOf(v.node) == aNumber {
		n, _ := v.integer(0, int(netmove.ScopeHost))
		scope = netmove.Scope(n)
	} else if name, ok := v.oneOf("global", "site", "link", "host"); ok {
		scope = scopes()[name]
	}
	if r.To.IsValid() && r.To.Addr().Is6() {
		return netmove.ScopeGlobal
	}
	return scope
}
