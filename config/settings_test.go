package config

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
)

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func TestParseSettings(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       netmove.Request
	}{
		{
			"match", "- match: {mac: 02:00:00:00:00:01, pciAddress: '0000:3B:00.1', driver: mlx5_core}\n  newName: net1",
			netmove.Request{
				Match:   netmove.Match{MAC: netmove.MAC{2, 0, 0, 0, 0, 1}, PCIAddress: "0000:3b:00.1", Driver: "mlx5_core"},
				PodName: "net1",
			},
		},
		{"pool, with a name", "- {pool: fast, newName: rail0}", netmove.Request{Pool: "fast", PodName: "rail0"}},
		{
			"routes, as ip-route(8) has them", `
- name: eth1
  routes:
  - {to: 10.0.0.0/8, via: 192.0.2.1, src: 192.0.2.5, metric: 100, table: 1000}
  - {to: 198.51.100.7}
  - {to: default, via: 192.0.2.1}
  - {to: default, via: "2001:db8::1"}
  - {to: 203.0.113.0/24, via: 198.18.0.1, onLink: true, scope: site}
  - {to: "2001:db8:1::/48", scope: link}
  - {to: 172.16.0.0/12, scope: 254}
  - {to: 224.0.0.0/4}
`,
			netmove.Request{Device: "eth1", Routes: []netmove.RouteRequest{
				{To: prefix("10.0.0.0/8"), Via: addr("192.0.2.1"), Src: addr("192.0.2.5"), Metric: 100, Table: 1000},
				{To: prefix("198.51.100.7/32"), Scope: netmove.ScopeLink},
				{To: prefix("0.0.0.0/0"), Via: addr("192.0.2.1")},
				{To: prefix("::/0"), Via: addr("2001:db8::1")},
				{To: prefix("203.0.113.0/24"), Via: addr("198.18.0.1"), OnLink: true, Scope: netmove.ScopeSite},
				{To: prefix("2001:db8:1::/48")},
				{To: prefix("172.16.0.0/12"), Scope: netmove.ScopeHost},
				{To: prefix("224.0.0.0/4"), Scope: netmove.ScopeLink},
			}},
		},
		{"no routes", "- {name: eth1, routes: [], neighbors: []}", netmove.Request{
			Device: "eth1", Routes: []netmove.RouteRequest{}, Neighbors: []netmove.NeighborRequest{},
		}},
		{
			"rules", "- name: eth1\n  rules: [{from: 192.0.2.5, table: 100, priority: 1000}, {to: '2001:db8::/32', table: 254}, {fwMark: 16, table: 4294967295}]",
			netmove.Request{Device: "eth1", Rules: []netmove.RuleRequest{
				{From: prefix("192.0.2.5/32"), Table: 100, Priority: 1000},
				{To: prefix("2001:db8::/32"), Table: 254},
				{FwMark: 16, Table: 4294967295},
			}},
		},
		{
			"neighbors", "- name: eth1\n  neighbors: [{ip: 192.0.2.1, mac: 02-00-00-00-00-01}, {ip: 'fe80::1', mac: '0200.0000.0002'}]",
			netmove.Request{Device: "eth1", Neighbors: []netmove.NeighborRequest{
				{IP: addr("192.0.2.1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 1}}, {IP: addr("fe80::1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 2}},
			}},
		},
		{
			"sysctls", "- name: eth1\n  sysctls: {ipv4/arp_ignore: 1, ipv6/accept_ra: '2', ipv6/use_tempaddr: -1}",
			netmove.Request{Device: "eth1", Sysctls: map[string]string{"ipv4/arp_ignore": "1", "ipv6/accept_ra": "2", "ipv6/use_tempaddr": "-1"}},
		},
		{
			"offload", "- name: eth1\n  ethtool: {features: {rx-gro: false, tx-tcp6-segmentation: true}}\n  gsoMaxSize: 185000\n  groMaxSize: 185000\n  gsoIPv4MaxSize: 65536\n  groIPv4MaxSize: 524280\n  detachBPF: true",
			netmove.Request{
				Device: "eth1", Features: map[string]bool{"rx-gro": false, "tx-tcp6-segmentation": true},
				GSOMaxSize: 185000, GROMaxSize: 185000, GSOIPv4MaxSize: 65536, GROIPv4MaxSize: 524280, DetachBPF: true,
			},
		},
		{"what asks for nothing", "- {name: eth1, sysctls: {}, ethtool: {features: {}}, detachBPF: false}", netmove.Request{Device: "eth1"}},
		{"default routes", "- {name: eth1, routes: [{to: default, via: 192.0.2.1, replaceDefault: true}, {to: default, via: 'fe80::1', table: 254, replaceDefault: true}, {to: 10.0.0.0/8, via: 'fe80::1'}]}", netmove.Request{
			Device: "eth1", Routes: []netmove.RouteRequest{
				{To: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1"), ReplaceDefault: true},
				{To: prefix("::/0"), Via: netip.MustParseAddr("fe80::1"), Table: 254, ReplaceDefault: true},
				{To: prefix("10.0.0.0/8"), Via: netip.MustParseAddr("fe80::1")},
			},
		}},
		{"no rules", "- {name: eth1, rules: []}", netmove.Request{Device: "eth1", Rules: []netmove.RuleRequest{}}},
		{"announced", "- {name: eth1, announce: true}", netmove.Request{Device: "eth1", Announce: new(true)}},
		{"silent", "- {name: eth1, addresses: [], announce: false}", netmove.Request{Device: "eth1", Addresses: prefixes(), Announce: new(false)}},
		{"the same route of two tables, metrics, families", "- name: eth1\n  routes: [{to: 10.0.0.0/8}, {to: 10.0.0.0/8, table: 5}, {to: 10.0.0.0/8, metric: 5}]", netmove.Request{
			Device: "eth1", Routes: []netmove.RouteRequest{
				{To: prefix("10.0.0.0/8"), Scope: netmove.ScopeLink},
				{To: prefix("10.0.0.0/8"), Scope: netmove.ScopeLink, Table: 5},
				{To: prefix("10.0.0.0/8"), Scope: netmove.ScopeLink, Metric: 5},
			},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parsePod(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]netmove.Request{tc.want}, got, byValue()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettingsProblems(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"name and match", "name: eth1, match: {driver: a}", "[0].match: give name or match, not both"},
		{"match and pool", "match: {driver: a}, pool: b", "[0].pool: give match or pool, not both"},
		{"empty match", "match: {}", "[0].match: empty: want mac, pciAddress or driver"},
		{"match, PCI address without a domain", "match: {pciAddress: '02:00.0'}", `[0].match.pciAddress: "02:00.0" is not a PCI address with its domain, such as "0000:02:00.0"`},
		{"match, PCI glob", "match: {pciAddress: '0000:02:00.*'}", `[0].match.pciAddress: "0000:02:00.*" is not a PCI address with its domain, such as "0000:02:00.0"`},
		{"match, driver glob", "match: {driver: 'mlx*'}", `[0].match.driver: "mlx*" is not the name of a driver, and globs are not for drivers`},
		{"match, MAC of many", "match: {mac: 'ff:ff:ff:ff:ff:ff'}", `[0].match.mac: "ff:ff:ff:ff:ff:ff" is a multicast address: a device needs a unicast one`},
		{"match, unknown", "match: {kind: veth}", `[0].match: unknown field "kind"`},
		{"pool, a path", "pool: ../a", `[0].pool: "../a" is not the name of a pool: want letters, digits, ".", "_" and "-", at most 63`},

		{"route without a destination", "name: a, routes: [{via: 192.0.2.1}]", "[0].routes[0].to: required"},
		{"route to a host's address with a length", "name: a, routes: [{to: 10.0.0.1/8}]", `[0].routes[0].to: "10.0.0.1/8" has bits beyond its prefix length: the network is 10.0.0.0/8`},
		{"route to a name", "name: a, routes: [{to: example}]", `[0].routes[0].to: "example" is not a network such as "198.51.100.0/24"`},
		{"route to a zone", "name: a, routes: [{to: 'fe80::1%eth0'}]", `[0].routes[0].to: "fe80::1%eth0" is not a network such as "198.51.100.0/24"`},
		{"route to IPv4 as IPv6", "name: a, routes: [{to: '::ffff:10.0.0.0/104'}]", `[0].routes[0].to: "::ffff:10.0.0.0/104" is IPv4 written as IPv6: write it as IPv4`},
		{"default without a family", "name: a, routes: [{to: default}]", `[0].routes[0].to: "default" without via can be IPv4 or IPv6: write "0.0.0.0/0" or "::/0"`},
		{"next hop of another family", "name: a, routes: [{to: '2001:db8::/32', via: 192.0.2.1}]", "[0].routes[0].via: 192.0.2.1 and the destination 2001:db8::/32 are of different families"},
		{"default of a part", "name: a, routes: [{to: 10.0.0.0/8, replaceDefault: true}]", `[0].routes[0].replaceDefault: is for a route to "default", not to 10.0.0.0/8`},
		{"default of another table", "name: a, routes: [{to: default, via: 192.0.2.1, table: 100, replaceDefault: true}]", "[0].routes[0].replaceDefault: is for the table main, not for 100"},
		{"default of the worst metric", "name: a, routes: [{to: default, via: 192.0.2.1, metric: 2147483648, replaceDefault: true}]", "[0].routes[0].metric: is at most 2147483647 with replaceDefault: the pod's own default route gets a worse one"},
		{"default twice", "name: a, routes: [{to: default, via: 192.0.2.1, replaceDefault: true}, {to: default, via: 192.0.2.1, metric: 5, replaceDefault: true}]", "[0].routes: replaceDefault for 0.0.0.0/0 is given twice"},
		{"default of two devices", "name: a, routes: [{to: default, via: 'fe80::1', replaceDefault: true}]}\n- {name: b, routes: [{to: default, via: 'fe80::1', metric: 5, replaceDefault: true}]", "[1].routes: [0] has replaceDefault for ::/0 already"},
		{"source of another family", "name: a, routes: [{to: '::/0', via: 'fe80::1', src: 192.0.2.1}]", "[0].routes[0].src: 192.0.2.1 and the destination ::/0 are of different families"},
		{"next hop, multicast", "name: a, routes: [{to: 10.0.0.0/8, via: 224.0.0.1}]", `[0].routes[0].via: "224.0.0.1" is not an address a device can have`},
		{"next hop with a length", "name: a, routes: [{to: 10.0.0.0/8, via: 192.0.2.1/24}]", `[0].routes[0].via: "192.0.2.1/24" is not an address such as "192.0.2.1"`},
		{"onLink without via", "name: a, routes: [{to: 10.0.0.0/8, onLink: true}]", "[0].routes[0].onLink: is of no use without via"},
		{"onLink yes", "name: a, routes: [{to: 10.0.0.0/8, via: 192.0.2.1, onLink: yes}]", "[0].routes[0].onLink: want true or false, not yes"},
		{"link scope beyond the link", "name: a, routes: [{to: 10.0.0.0/8, via: 192.0.2.1, scope: link}]", "[0].routes[0].scope: a route with via reaches further than the link"},
		{"no scope", "name: a, routes: [{to: 10.0.0.0/8, scope: nowhere}]", `[0].routes[0].scope: want "global" or "site" or "link" or "host", not "nowhere"`},
		{"scope out of range", "name: a, routes: [{to: 10.0.0.0/8, scope: 255}]", "[0].routes[0].scope: 255 is not between 0 and 254"},
		{"metric out of range", "name: a, routes: [{to: 10.0.0.0/8, metric: 4294967296}]", "[0].routes[0].metric: 4294967296 is not between 0 and 4294967295"},
		{"table 0", "name: a, routes: [{to: 10.0.0.0/8, table: 0}]", "[0].routes[0].table: 0 is not between 1 and 4294967295"},
		{"table by name", "name: a, routes: [{to: 10.0.0.0/8, table: main}]", "[0].routes[0].table: want a number, not a string"},
		{"route twice", "name: a, routes: [{to: 10.0.0.0/8}, {to: 10.0.0.0/8, table: 254, scope: host}]", "[0].routes: two routes to 10.0.0.0/8 with the same metric and table"},
		{"IPv6 route twice, by the default metric", "name: a, routes: [{to: '::/0', via: 'fe80::1'}, {to: '::/0', via: 'fe80::2', metric: 1024}]", "[0].routes: two routes to ::/0 with the same metric and table"},
		{"route of two devices", "name: a, routes: [{to: 10.0.0.0/8}]}\n- {name: b, routes: [{to: 10.0.0.0/8}]", "[1].routes: [0] has a route to 10.0.0.0/8 with the same metric and table already"},
		{"small MTU with an IPv6 route", "name: a, mtu: 1000, routes: [{to: '::/0', via: 'fe80::1'}]", "[0].mtu: 1000 is too small for the IPv6 routes, which need 1280"},
		{"small MTU with an IPv6 neighbor", "name: a, mtu: 1000, neighbors: [{ip: 'fe80::1', mac: 02:00:00:00:00:01}]", "[0].mtu: 1000 is too small for the IPv6 neighbors, which need 1280"},
		{"no IPv6 with an IPv6 address", "name: a, sysctls: {ipv6/disable_ipv6: 1}, addresses: ['2001:db8::1/64']", "[0].sysctls.ipv6/disable_ipv6: 1 takes away the IPv6 addresses"},
		{"too many routes", "name: a, routes: [" + strings.Repeat("{},", 129) + "]", "[0].routes: more than 128"},
		{"route, a string", "name: a, routes: [10.0.0.0/8]", "[0].routes[0]: want a mapping, not a string"},

		{"rule without a table", "name: a, rules: [{from: 192.0.2.5}]", "[0].rules[0].table: required"},
		{"rule for everything", "name: a, rules: [{table: 100}]", `[0].rules[0]: is for every packet: want from, to or fwMark; write from: "0.0.0.0/0" or "::/0" if all are meant`},
		{"rule of two families", "name: a, rules: [{from: 192.0.2.5, to: '::/0', table: 1}]", "[0].rules[0].to: ::/0 and the source 192.0.2.5/32 are of different families"},
		{"rule, mark in hexadecimal", "name: a, rules: [{fwMark: 0x10, table: 1}]", "[0].rules[0].fwMark: want a whole number in plain decimal, not 0x10"},
		{"rule, priority of the first one", "name: a, rules: [{fwMark: 1, table: 1, priority: 0}]", "[0].rules[0].priority: 0 is not between 1 and 4294967295"},
		{"rule twice", "name: a, rules: [{fwMark: 1, table: 1}, {fwMark: 1, table: 1}]", `[0].rules: "fwmark 0x1 table 1" is given twice`},
		{"rule of two devices", "name: a, rules: [{fwMark: 1, table: 1}]}\n- {name: b, rules: [{fwMark: 1, table: 1}]", `[1].rules: "fwmark 0x1 table 1" is given to [0] already`},
		{"rule, a device", "name: a, rules: [{iif: eth0, table: 1}]", `[0].rules[0]: unknown field "iif"` + "\n" + `[0].rules[0]: is for every packet: want from, to or fwMark; write from: "0.0.0.0/0" or "::/0" if all are meant`},

		{"neighbor without a MAC", "name: a, neighbors: [{ip: 192.0.2.1}]", "[0].neighbors[0].mac: required"},
		{"neighbor, a network", "name: a, neighbors: [{ip: 192.0.2.0/24, mac: 02:00:00:00:00:01}]", `[0].neighbors[0].ip: "192.0.2.0/24" is not an address such as "192.0.2.1"`},
		{"neighbor, multicast MAC", "name: a, neighbors: [{ip: 192.0.2.1, mac: 01:00:5e:00:00:01}]", `[0].neighbors[0].mac: "01:00:5e:00:00:01" is a multicast address: a device needs a unicast one`},
		{"neighbor twice", "name: a, neighbors: [{ip: 192.0.2.1, mac: 02:00:00:00:00:01}, {ip: 192.0.2.1, mac: 02:00:00:00:00:02}]", "[0].neighbors[1].ip: 192.0.2.1 is given twice"},

		{"sysctl outside", "name: a, sysctls: {ipv4/../../../kernel/panic: 1}", `[0].sysctls: unknown sysctl "ipv4/../../../kernel/panic"`},
		{"sysctl of another device", "name: a, sysctls: {ipv4/../eth0/arp_ignore: 1}", `[0].sysctls: unknown sysctl "ipv4/../eth0/arp_ignore"`},
		{"sysctl, absolute", "name: a, sysctls: {/proc/sys/kernel/panic: 1}", `[0].sysctls: unknown sysctl "/proc/sys/kernel/panic"`},
		{"sysctl with dots", "name: a, sysctls: {ipv4.arp_ignore: 1}", `[0].sysctls: unknown sysctl "ipv4.arp_ignore": did you mean "ipv4/arp_ignore"?`},
		{"sysctl, case", "name: a, sysctls: {ipv4/ARP_ignore: 1}", `[0].sysctls: unknown sysctl "ipv4/ARP_ignore": did you mean "ipv4/arp_ignore"?`},
		{"sysctl twice", "name: a, sysctls: {ipv4/arp_ignore: 1, ipv4/arp_ignore: 2}", "[0].sysctls.ipv4/arp_ignore: given twice"},
		{"sysctl out of range", "name: a, sysctls: {ipv4/arp_ignore: 9}", "[0].sysctls.ipv4/arp_ignore: 9 is not between 0 and 8"},
		{"sysctl, more than a number", `name: a, sysctls: {ipv4/arp_ignore: "1\n"}`, `[0].sysctls.ipv4/arp_ignore: "1\n" holds a line break or another control character` + "\n"},
		{"sysctl, a word", "name: a, sysctls: {ipv4/arp_ignore: one}", `[0].sysctls.ipv4/arp_ignore: want a whole number, not "one"`},
		{"sysctl, true", "name: a, sysctls: {ipv4/forwarding: true}", "[0].sysctls.ipv4/forwarding: want a number, not a boolean"},
		{"sysctls, a list", "name: a, sysctls: [ipv4/forwarding=1]", "[0].sysctls: want a mapping, not a list"},

		{"announce, yes", "name: a, announce: yes", "[0].announce: want true or false, not yes"},
		{"announce, a string", "name: a, announce: 'true'", "[0].announce: want a boolean, not a string"},
		{"announce, null", "name: a, announce: null", "[0].announce: null is not allowed: write a boolean, or leave it out"},
		{"announce, case", "name: a, Announce: true", `[0]: unknown field "Announce": did you mean "announce"?`},

		{"ethtool, unknown", "name: a, ethtool: {rings: {rx: 1}}", `[0].ethtool: unknown field "rings"`},
		{"feature, on", "name: a, ethtool: {features: {rx-gro: on}}", "[0].ethtool.features.rx-gro: want true or false, not on"},
		{"feature, a number", "name: a, ethtool: {features: {rx-gro: 1}}", "[0].ethtool.features.rx-gro: want a boolean, not a number"},
		{"feature, a glob", "name: a, ethtool: {features: {'*': true}}", `[0].ethtool.features."*": "*" is not the name of an offload feature: "ethtool -k" shows them`},
		{"feature twice", "name: a, ethtool: {features: {rx-gro: true, rx-gro: true}}", "[0].ethtool.features.rx-gro: given twice"},
		{"size too small", "name: a, gsoMaxSize: 511", "[0].gsoMaxSize: 511 is not between 512 and 524280"},
		{"size too large", "name: a, groIPv4MaxSize: 524281", "[0].groIPv4MaxSize: 524281 is not between 512 and 524280"},
		{"detachBPF, a string", "name: a, detachBPF: 'true'", "[0].detachBPF: want a boolean, not a string"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantProblems(t, "- {"+tc.text+"}", strings.TrimSpace(tc.want))
		})
	}
}

// Every sysctl of the list is one of a device's on this kernel, or of a newer or older
// one's, and its range has the value that it begins with.
func TestSysctlsAreThere(t *testing.T) {
	missing := 0
	for name, s := range sysctls() {
		family, file, _ := strings.Cut(name, "/")
		data, err := os.ReadFile(filepath.Join("/proc/sys/net", family, "conf/default", file))
		if err != nil {
			t.Logf("%s: %v", name, err)
			missing++
			continue
		}
		var value int
		if _, err := fmt.Sscan(string(data), &value); err != nil || value < s.low || value > s.high {
			t.Errorf("%s is %q by default, outside %d to %d", name, strings.TrimSpace(string(data)), s.low, s.high)
		}
	}
	if missing > 3 {
		t.Errorf("the kernel lacks %d of the sysctls", missing)
	}
}

func TestPools(t *testing.T) {
	c, err := Parse([]byte(minimalConfig + `pools:
- {name: fast, devices: ["enp2s2f*", "eth9"], drivers: []}
- {name: virtual, drivers: [macvlan, veth]}
`))
	if err != nil {
		t.Fatal(err)
	}
	nic := changed(func(d *netmove.Device) { d.Altnames = []string{"eth9", "enp2s2f9"} }).Snapshot
	macvlan := netmove.Snapshot{Name: "m0", Identity: netmove.Identity{Kind: "macvlan"}}
	for _, tc := range []struct {
		pool string
		dev  netmove.Snapshot
		want bool
	}{
		{"fast", port().Snapshot, true},
		{"fast", changed(func(d *netmove.Device) { d.Name = "x" }).Snapshot, false},
		{"fast", changed(func(d *netmove.Device) { d.Name, d.Altnames = "x", []string{"enp2s2f9"} }).Snapshot, false},
		{"fast", changed(func(d *netmove.Device) { d.Name, d.Altnames = "x", []string{"eth9"} }).Snapshot, true},
		{"fast", nic, true},
		{"virtual", macvlan, true},
		{"virtual", port().Snapshot, false},
	} {
		p, ok := c.Pool(tc.pool)
		if got := p.Has(tc.dev); !ok || got != tc.want {
			t.Errorf("pool %s has %s %q: %v, %v, want %v", tc.pool, tc.dev.Name, tc.dev.Altnames, got, ok, tc.want)
		}
	}
	if _, ok := c.Pool("slow"); ok {
		t.Error("there is a pool that nobody made")
	}
}

// To announce addresses is a setting of its own, but not where it follows from addresses, and
// not to be silent.
func TestAnnounceIsAllowed(t *testing.T) {
	rule := AllowRule{Settings: defaultSettings()}
	for _, tc := range []struct{ text, lacks string }{
		{"- {name: a, announce: true}", "announce"},
		{"- {name: a, announce: true, addresses: [192.0.2.1/24]}", "announce"},
		{"- {name: a, announce: false}", ""},
		{"- {name: a, announce: false, addresses: [192.0.2.1/24]}", ""},
		{"- {name: a, addresses: [192.0.2.1/24]}", ""},
	} {
		requests, err := parsePod(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(rule.lacks(requests[0]), " "); got != tc.lacks {
			t.Errorf("%s: lacks %q, want %q", tc.text, got, tc.lacks)
		}
	}
	c, err := Parse([]byte(minimalConfig + "allow: [{devices: [a], namespaces: [a], settings: [announce]}]\n"))
	if err != nil || len(c.Allow[0].lacks(netmove.Request{Announce: new(true)})) > 0 {
		t.Errorf("the setting allows nothing: %v", err)
	}
}
