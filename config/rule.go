package config

import (
	"net/netip"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// parseRule reads one rule of policy routing.
func parseRule(v value) (r netmove.RuleRequest, ok bool) {
	given, ok := v.fields(schema{known: []string{"from", "to", "priority", "table", "fwMark"}})
	if !ok {
		return r, false
	}
	v.require(given, "table")
	before := v.problems.count()
	r.From = parseNetwork(given["from"])
	r.To = parseNetwork(given["to"])
	r.Priority = parseUint32(given["priority"], 1)
	r.Table = parseUint32(given["table"], 1)
	r.FwMark = parseUint32(given["fwMark"], 1)
	if v.problems.count() > before || r.Table == 0 {
		return r, false
	}
	switch {
	case r.From.IsValid() && r.To.IsValid() && r.From.Addr().Is6() != r.To.Addr().Is6():
		given["to"].refuse("%s and the source %s are of different families", r.To, r.From)
	case r.From == netip.Prefix{} && r.To == netip.Prefix{} && r.FwMark == 0:
		v.refuse("is for every packet: want from, to or fwMark; write from: \"0.0.0.0/0\" or \"::/0\" if all are meant")
	}
	return r, true
}
