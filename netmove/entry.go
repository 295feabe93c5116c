package netmove

import (
	"bytes"
	"net/netip"
	"slices"
)

// Table is a table of the kernel with entries that belong to a device.
type Table string

// The tables that are put back, in this order.
const (
	TableVLAN     Table = "vlan"      // of a bridge's port, bridge(8)
	TableFDB      Table = "fdb"       // unicast addresses the device listens to, static entries of a bridge for its port
	TableMDB      Table = "mdb"       // multicast groups that a bridge sends to its port, bridge(8)
	TableVNI      Table = "vxlan-vni" // of a vxlan that takes several, bridge(8)
	TableVXLAN    Table = "vxlan-fdb" // where a vxlan sends frames to, bridge(8)
	TableVXLANMDB Table = "vxlan-mdb" // where a vxlan sends multicast groups to, bridge(8)
	TablePRL      Table = "prl"       // potential routers of a sit tunnel, ip-tunnel(8)
	TableQdisc    Table = "qdisc"     // the root one, of some kinds, tc(8)
	TableNexthop  Table = "nexthop"   // ip-nexthop(8)
	TableRoute    Table = "route"     // ip-route(8)
	TableNeighbor Table = "neighbor"  // permanent and proxy ones, ip-neighbour(8)
)

// TableRule is the namespace's list of policy rules (ip-rule(8)), which are no device's: those
// about a device's addresses go along into the pod, and stay on the host.
const TableRule Table = "rule"

// Tables are all tables, in the order in which their entries are put back.
func Tables() []Table {
	return []Table{
		TableVLAN, TableFDB, TableMDB, TableVNI, TableVXLAN, TableVXLANMDB, TablePRL,
		TableQdisc, TableNexthop, TableRoute, TableNeighbor,
	}
}

// Travels reports whether entries of the table stay on a device that moves: what a
// pod adds comes home with it. The kernel takes those of the other tables from a device
// that leaves its namespace.
func (t Table) Travels() bool {
	return slices.Contains([]Table{TableVNI, TableVXLAN, TableVXLANMDB, TablePRL}, t)
}

// Entry is an entry of a table that somebody made, as opposed to the kernel and
// to programs that learn: those make theirs again.
type Entry struct {
	Table Table  `json:"table"`
	Text  string `json:"text"` // for people, in the words of ip(8) and bridge(8)

	// Message is the entry in the kernel's words (rtnetlink(7)): what follows
	// struct nlmsghdr, without what changes by itself, and with 0 for the
	// device's own ifindex. Two entries are the same if their messages are.
	Message []byte `json:"message"`

	Proxy bool  `json:"proxy,omitempty"` // a neighbor that the node answers for
	Port  bool  `json:"port,omitempty"`  // it is the device's as a port of its master
	Place Place `json:"place,omitempty"` // of a route

	// Until is when a route ends that has a time limit (RTA_EXPIRES), 0 for none.
	Until BootOffset `json:"until,omitzero"`

	Route Route      `json:"-"` // for the decision whether it goes along
	Rule  PolicyRule `json:"-"` // the same

	Neighbor netip.Addr `json:"-"` // whose address it is
}

// Place is where a route stands among those that are there when it is put back, and have
// its prefix, its metric and its table.
type Place string

// The places there are.
const (
	PlaceAlone Place = ""      // there is none, or it stands in place of this one
	PlaceFirst Place = "first" // it is the one that counts
	PlaceLast  Place = "last"
)

// Same reports whether both are the same entry, of the same device or of two.
func (e Entry) Same(other Entry) bool {
	return e.Table == other.Table && bytes.Equal(e.Message, other.Message)
}

// filters reports whether the device has a list of addresses that it listens to. A vxlan
// takes what comes, and its forwarding entries are no such list.
func (id Identity) filters() bool { return id.Kind != "vxlan" }

// entriesAt are the entries that have not ended by then.
func (s Snapshot) entriesAt(now BootOffset) []Entry {
	return slices.DeleteFunc(slices.Clone(s.Entries), func(e Entry) bool { return e.Until != 0 && e.Until <= now })
}

// missing are the entries of want that are not in have.
func missing(want, have []Entry) []Entry {
	type key struct {
		table   Table
		message string
	}
	known := make(map[key]bool, len(have)) // a pod can make more of them than can be compared with one another
	for _, e := range have {
		known[key{e.Table, string(e.Message)}] = true
	}
	var list []Entry
	for _, e := range want {
		if !known[key{e.Table, string(e.Message)}] {
			list = append(list, e)
		}
	}
	return list
}

// Route is what of a route decides whether it goes along into a pod.
type Route struct {
	Dst    netip.Prefix // RTA_DST
	Table  uint32       // RTA_TABLE
	Source netip.Addr   // RTA_PREFSRC, zero for none

	// Unsourced is the entry without its source.
	Unsourced *Entry

	// Via are the next hops (RTA_GATEWAY, RTA_VIA), none for one that is on
	// the link.
	Via []netip.Addr

	Unicast bool // rtm_type is RTN_UNICAST
	OnLink  bool // RTNH_F_ONLINK: the next hops count as reachable
	Shared  bool // other devices carry it, too, or a nexthop object does
}

// carriedBy reports whether a namespace can have the route whose device has these addresses,
// and nothing else: its next hops have to be reached.
func (r Route) carriedBy(addrs []Address, onLink []netip.Prefix) bool {
	if !r.Unicast || r.Shared {
		return false
	}
	family := func(a Address) bool { return a.IsIPv6() == r.Dst.Addr().Is6() }
	if !slices.ContainsFunc(addrs, family) {
		return false
	}
	return !slices.ContainsFunc(r.Via, func(via netip.Addr) bool { return !r.OnLink && !reaches(via, addrs, onLink) })
}

// reaches reports whether the next hop is on the link.
func reaches(via netip.Addr, addrs []Address, onLink []netip.Prefix) bool {
	if via.IsLinkLocalUnicast() && via.Is6() {
		return true
	}
	within := func(p netip.Prefix) bool { return p.Contains(via) }
	return slices.ContainsFunc(onLink, within) || slices.ContainsFunc(addrs, func(a Address) bool {
		return within(a.onLink()) && a.Local.Addr() != via
	})
}

// entriesAlong sorts the device's entries: its permanent neighbors and the routes that its
// addresses there can carry go along into the pod, unless the pod asks for others.
func (a *Attachment) entriesAlong(entries []Entry) {
	var onLink []netip.Prefix
	for _, e := range entries {
		switch {
		case e.Table == TableRoute && a.Request.Routes == nil:
			if along, ok := a.routeAlong(e, onLink); ok {
				a.Entries = append(a.Entries, along)
				if len(e.Route.Via) == 0 {
					onLink = append(onLink, e.Route.Dst)
				}
			}
		case e.Table == TableNeighbor && a.Request.Neighbors == nil && !e.Proxy:
			a.Entries = append(a.Entries, e)
		}
	}
}

// routeAlong is the route as it goes along. It goes without a source address that does not. A
// default route of the tables main and local stays: it would compete with the pod's own.
func (a *Attachment) routeAlong(e Entry, onLink []netip.Prefix) (Entry, bool) {
	switch r := e.Route; {
	case !r.carriedBy(a.Addresses, onLink):
		return e, false
	case (r.Table == mainTable || r.Table == localTable) && IsDefault(r.Dst.Addr().Is6(), r.Dst.Bits()):
		return e, false
	case r.Source.IsValid() && !a.hasAddress(r.Source):
		e = *r.Unsourced
	}
	// What the pod has stays, and what the host has is not there.
	if !slices.ContainsFunc(a.Entries, func(before Entry) bool { return before.Route.Dst == e.Route.Dst }) {
		e.Place = PlaceAlone
	}
	return e, true
}
