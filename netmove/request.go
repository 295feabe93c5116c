package netmove

import (
	"fmt"
	"net/netip"
	"strings"
)

// Request is what a pod wants of one host device.
//
// The zero value of every field but Device keeps what the device has on the
// host, so Request{Device: "eth1"} moves eth1 as it is.
type Request struct {
	// Device is the host device's name, or exactly one of its altnames. It is "" in a
	// request by Match or Pool until a device has been chosen.
	Device string `json:"device"`

	Match Match  `json:"match,omitzero"` // facts about the device; zero: not chosen by them
	Pool  string `json:"pool,omitempty"` // the node config's name for a set of devices; "": not chosen from one

	// PodName is the device's name in the pod; "" keeps the host name
	// (the kernel name, also when Device is an altname).
	PodName string `json:"podName,omitempty"`

	// Addresses replace the device's own in the pod, in this order. nil keeps
	// the permanent addresses of global scope; empty, not nil, means none.
	Addresses []netip.Prefix `json:"addresses,omitzero"`

	// MTU in bytes (IFLA_MTU); 0 keeps the device's.
	MTU int `json:"mtu,omitempty"`

	// MAC is a unicast Ethernet address (IFLA_ADDRESS); nil keeps the device's.
	MAC MAC `json:"mac,omitempty"`

	// Routes replace the device's own in the pod. nil keeps the static ones that the
	// addresses in the pod can carry; empty, not nil, means none.
	Routes []RouteRequest `json:"routes,omitzero"`

	// Rules are made in the pod's namespace, and are no device's. nil has the host's rules about
	// the addresses in the pod made there as well; empty, not nil, means none.
	Rules []RuleRequest `json:"rules,omitzero"`

	// Neighbors replace the device's own in the pod. nil keeps the permanent ones;
	// empty, not nil, means none.
	Neighbors []NeighborRequest `json:"neighbors,omitzero"`

	// Sysctls are set for the device in the pod, by family and name, such as
	// "ipv4/arp_ignore" for net/ipv4/conf/DEVICE/arp_ignore. What is not named has the
	// value that the pod's namespace gives to new devices.
	Sysctls map[string]string `json:"sysctls,omitempty"`

	// Announce tells the neighbors on the link which addresses the device has in the pod
	// (gratuitous ARP, unsolicited neighbor advertisements). nil does so if there are
	// Addresses, which the neighbors may know of another device.
	Announce *bool `json:"announce,omitempty"`

	// Features are offload features to be switched on or off, by the names that
	// ethtool(8) -k shows.
	Features map[string]bool `json:"features,omitempty"`

	// The largest packets that the stack hands to the device or takes from it at once, in
	// bytes; 0 keeps the device's. Beyond 65536 this is BIG TCP.
	GSOMaxSize     int `json:"gsoMaxSize,omitempty"`     // IFLA_GSO_MAX_SIZE
	GROMaxSize     int `json:"groMaxSize,omitempty"`     // IFLA_GRO_MAX_SIZE, Linux 5.19
	GSOIPv4MaxSize int `json:"gsoIPv4MaxSize,omitempty"` // IFLA_GSO_IPV4_MAX_SIZE, Linux 6.3
	GROIPv4MaxSize int `json:"groIPv4MaxSize,omitempty"` // IFLA_GRO_IPV4_MAX_SIZE, Linux 6.3

	// DetachBPF takes the host's XDP and TCX programs off the device while the pod has
	// it; otherwise they follow it.
	DetachBPF bool `json:"detachBPF,omitempty"`
}

// String is what the pod asks for, as an error calls it.
func (r Request) String() string {
	switch {
	case r.Pool != "":
		return fmt.Sprintf("pool %q", r.Pool)
	case !r.Match.IsZero():
		return "match " + r.Match.String()
	}
	return fmt.Sprintf("device %q", r.Device)
}

// Match is facts that tell a host device. All that are given must hold.
type Match struct {
	MAC        MAC    `json:"mac,omitempty"`        // the permanent address where there is one
	PCIAddress string `json:"pciAddress,omitempty"` // such as "0000:02:00.0"
	Driver     string `json:"driver,omitempty"`     // as ethtool(8) -i shows it; of a virtual device its kind
}

// IsZero reports whether nothing is given.
func (m Match) IsZero() bool { return m.MAC == nil && m.PCIAddress == "" && m.Driver == "" }

// Holds reports whether the device is one that is meant.
func (m Match) Holds(dev Snapshot) bool {
	return (m.MAC == nil || m.MAC.Equal(dev.LastingMAC())) &&
		(m.PCIAddress == "" || m.PCIAddress == dev.Identity.PCIAddress()) &&
		(m.Driver == "" || m.Driver == dev.Identity.DriverName())
}

// String is the facts as the pod's author wrote them.
func (m Match) String() string {
	var facts []string
	for _, f := range []struct{ name, value string }{
		{"mac", m.MAC.String()}, {"pciAddress", m.PCIAddress}, {"driver", m.Driver},
	} {
		if f.value != "" {
			facts = append(facts, fmt.Sprintf("%s: %q", f.name, f.value))
		}
	}
	return "{" + strings.Join(facts, ", ") + "}"
}

// RouteRequest is a route through the device, of type unicast and protocol static
// (ip-route(8)).
type RouteRequest struct {
	To     netip.Prefix `json:"to"`              // RTA_DST, without host bits
	Via    netip.Addr   `json:"via,omitzero"`    // RTA_GATEWAY; zero: the destination is on the link
	Src    netip.Addr   `json:"src,omitzero"`    // RTA_PREFSRC, one of the device's own; zero: the kernel chooses
	Metric uint32       `json:"metric,omitzero"` // RTA_PRIORITY; 0: the kernel's default
	Table  uint32       `json:"table,omitzero"`  // RTA_TABLE; 0: main
	Scope  Scope        `json:"scope,omitzero"`  // rtm_scope, of no meaning for IPv6
	OnLink bool         `json:"onLink,omitzero"` // RTNH_F_ONLINK: Via counts as reachable

	// ReplaceDefault makes a default route of main the pod's: those of the pod that do not
	// have a worse metric get one meanwhile.
	ReplaceDefault bool `json:"replaceDefault,omitzero"`
}

// EffectiveMetric is the one that the kernel gives the route (IP6_RT_PRIO_USER).
func (r RouteRequest) EffectiveMetric() uint32 {
	const ipv6 = 1024
	if r.Metric == 0 && r.To.Addr().Is6() {
		return ipv6
	}
	return r.Metric
}

// String is the route in the words of ip-route(8).
func (r RouteRequest) String() string {
	var b strings.Builder
	fmt.Fprint(&b, r.To)
	if r.Via.IsValid() {
		fmt.Fprintf(&b, " via %s", r.Via)
	}
	if r.Src.IsValid() {
		fmt.Fprintf(&b, " src %s", r.Src)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	if r.Table != 0 {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	if r.OnLink {
		b.WriteString(" onlink")
	}
	return b.String()
}

// RuleRequest is a policy rule that has a table looked up (ip-rule(8)). Without From
// and To it is for both families.
type RuleRequest struct {
	From     netip.Prefix `json:"from,omitzero"`     // FRA_SRC; zero: any
	To       netip.Prefix `json:"to,omitzero"`       // FRA_DST; zero: any
	Priority uint32       `json:"priority,omitzero"` // FRA_PRIORITY; 0: before those that are there
	Table    uint32       `json:"table"`             // FRA_TABLE
	FwMark   uint32       `json:"fwMark,omitzero"`   // FRA_FWMARK, under a mask of all bits; 0: any
}

// String is the rule in the words of ip-rule(8).
func (r RuleRequest) String() string {
	var b strings.Builder
	if r.From.IsValid() {
		fmt.Fprintf(&b, "from %s ", r.From)
	}
	if r.To.IsValid() {
		fmt.Fprintf(&b, "to %s ", r.To)
	}
	if r.FwMark != 0 {
		fmt.Fprintf(&b, "fwmark %#x ", r.FwMark)
	}
	if r.Priority != 0 {
		fmt.Fprintf(&b, "priority %d ", r.Priority)
	}
	fmt.Fprintf(&b, "table %d", r.Table)
	return b.String()
}

// NeighborRequest is a permanent neighbor on the device (ip-neighbour(8)).
type NeighborRequest struct {
	IP  netip.Addr `json:"ip"`  // NDA_DST
	MAC MAC        `json:"mac"` // NDA_LLADDR
}

// String is the neighbor in the words of ip-neighbour(8).
func (n NeighborRequest) String() string { return fmt.Sprintf("%s lladdr %s", n.IP, n.MAC) }

// Feature is the state of an offload feature.
type Feature struct {
	On    bool
	Fixed bool // the device cannot switch it
}
