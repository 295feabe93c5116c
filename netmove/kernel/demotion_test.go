package kernel_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// podWithDefaults is a node with a NIC, eth1, and a pod that has default routes by eth0.
func podWithDefaults(t *testing.T) *node {
	n := podWithDevice(t)
	n.pod.Shell(t, `
		ip route add default via 10.0.0.1 dev eth0 mtu 1400
		ip route add default via 10.0.0.2 dev eth0 metric 1024
		ip route add default via 10.0.0.3 dev eth0 metric 7
		ip -6 route add default via 2001:db8:1::1 dev eth0
		ip -6 route add default via fe80::1 dev eth0 proto ra metric 512 expires 1000`)
	return n
}

// podWithDevice is a node with a NIC, eth1, and a pod that has a device of its own, eth0.
func podWithDevice(t *testing.T) *node {
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, "ip link set eth1 up; ip addr add 192.0.2.10/24 dev eth1; ip addr add 2001:db8::10/64 dev eth1 nodad")
	n.pod.Shell(t, `
		ip link add eth0 type veth peer name far
		ip link set eth0 up
		ip link set far up
		ip addr add 10.0.0.5/24 dev eth0
		ip addr add 2001:db8:1::5/64 dev eth0 nodad`)
	return n
}

func (n *node) podDefaults(t *testing.T) string {
	t.Helper()
	text := n.pod.IP(t, "-4 route show default") + n.pod.IP(t, "-6 route show default")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i], _, _ = strings.Cut(line, " expires")
	}
	return strings.Join(lines, "\n")
}

func replacing(via string, metric uint32) netmove.RouteRequest {
	r := netmove.RouteRequest{To: prefix("0.0.0.0/0"), Via: netip.MustParseAddr(via), Metric: metric, ReplaceDefault: true}
	if r.Via.Is6() {
		r.To = prefix("::/0")
	}
	return r
}

// The device's default routes become the pod's, whose own stay with worse metrics, and are as
// they were when the device has left. A process that starts anew knows them.
func TestReplaceDefault(t *testing.T) {
	t.Parallel()
	n := podWithDefaults(t)
	host, pod := n.host.Settled(t, "eth1"), n.podDefaults(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 0), replacing("fe80::99", 0)}})
	sameText(t, "default routes with the device", `default via 192.0.2.1 dev net1 proto static 
default via 10.0.0.3 dev eth0 metric 7 
default via 10.0.0.2 dev eth0 metric 1024 
default via 10.0.0.1 dev eth0 metric 1025 mtu 1400 
default via fe80::99 dev net1 proto static metric 1024 pref medium
default via fe80::1 dev eth0 proto ra metric 2048
default via 2001:db8:1::1 dev eth0 metric 2049 pref medium
`, n.podDefaults(t))
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	plan = nil
	if err := json.Unmarshal(text, &plan); err != nil {
		t.Fatal(err)
	}
	n.giveBack(t, plan)
	sameText(t, "default routes without it", pod, n.podDefaults(t))
	n.host.SameDump(t, "eth1", host)
}

// Default routes of every form stand back, and are what they were.
func TestReplaceDefaultOfEveryForm(t *testing.T) {
	t.Parallel()
	const second = `
		ip link add eth5 type veth peer name far5
		ip link set eth5 up
		ip link set far5 up
		ip addr add 10.0.5.5/24 dev eth5
		`
	for name, setup := range map[string]string{
		"two of one metric":            "ip route add default via 10.0.0.1; ip route append default via 10.0.0.2",
		"ECMP":                         "ip route add default nexthop via 10.0.0.1 nexthop via 10.0.0.2 weight 3; ip -6 route add default nexthop via fe80::1 dev eth0 nexthop via fe80::2 dev eth0",
		"ECMP of two devices":          second + "ip route add default nexthop via 10.0.0.1 nexthop via 10.0.5.2; ip -6 route add default nexthop via fe80::1 dev eth0 nexthop via fe80::2 dev eth5",
		"on the link":                  "ip route add default via 169.254.1.1 dev eth0 onlink; ip -6 route add default via 2001:db8:77::1 dev eth0 onlink",
		"a nexthop object":             "ip nexthop add id 5 via 10.0.0.1 dev eth0; ip route add default nhid 5",
		"a group of objects":           "ip nexthop add id 5 via fe80::1 dev eth0; ip nexthop add id 6 via fe80::2 dev eth0; ip nexthop add id 7 group 5/6; ip -6 route add default nhid 7",
		"an object without its device": "sysctl -qw net.ipv4.nexthop_compat_mode=0; ip nexthop add id 5 via 10.0.0.1 dev eth0; ip nexthop add id 6 via fe80::1 dev eth0; ip route add default nhid 5; ip -6 route add default nhid 6",
		"dropped":                      "ip route add blackhole default; ip -6 route add unreachable default metric 1024",
		"an IPv6 next hop":             "ip route add default via inet6 fe80::1 dev eth0",
		"realms and TOS":               "ip route add default via 10.0.0.1 realms 3/4 mtu lock 1400 congctl reno; ip route add default via 10.0.0.2 tos 0x10",
		"a prefix of sources":          "ip -6 route add default from 2001:db8:1::/64 via fe80::1 dev eth0; ip -6 route add default via fe80::1 dev eth0 pref high",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := podWithDevice(t)
			n.pod.Shell(t, setup)
			before := n.podDefaults(t)
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 0), replacing("fe80::99", 0)}})
			for _, to := range []string{"198.51.100.9", "2001:db8:99::9"} {
				if got := n.pod.IP(t, "route get "+to); !strings.Contains(got, "dev net1") {
					t.Errorf("the pod's route is %s", got)
				}
			}
			for range 2 { // it may be repeated
				n.giveBack(t, plan)
				sameText(t, "default routes without the device", before, n.podDefaults(t))
			}
		})
	}
}

// Of two default routes of one metric, each may have stood back when an attach fails.
func TestReplaceDefaultHalfDone(t *testing.T) {
	t.Parallel()
	n := podWithDevice(t)
	n.pod.Shell(t, "ip route add default via 10.0.0.1; ip route append default via 10.0.0.2; ip route append default via 10.0.0.3")
	before := n.podDefaults(t)
	for stood := range 4 {
		plan, err := n.plan(netmove.Request{Device: "eth1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 0)}})
		if err != nil || len(plan[0].Replaced) != 3 {
			t.Fatalf("%d stand back, %v", len(plan[0].Replaced), err)
		}
		for _, r := range plan[0].Replaced[:stood] {
			if err := n.podNS.PutEntry(r.Index, r.Now); err != nil {
				t.Fatal(err)
			}
			if err := n.podNS.DropEntry(r.Index, r.Was); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.mover.Undo(n.podNS, plan); err != nil {
			t.Fatal(err)
		}
		sameText(t, "default routes", before, n.podDefaults(t))
	}
}

// What a pod does to its default routes meanwhile counts, and never keeps a device's record.
func TestReplaceDefaultChanged(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ setup, meanwhile, want string }{
		"replaced": {"ip route add default via 10.0.0.1", "ip route replace default via 10.0.0.9", "default via 10.0.0.9 dev eth0 \n"},
		"removed":  {"ip route add default via 10.0.0.1", "ip route del default via 10.0.0.1", ""},
		"another": {
			"ip route add default via 10.0.0.1", "ip route del default via 10.0.0.1; ip route add default via 10.0.0.9 metric 1024",
			"default via 10.0.0.9 dev eth0 metric 1024 \n",
		},
		"without its source":  {"ip addr add 10.0.0.7/32 dev eth0; ip route add default via 10.0.0.1 src 10.0.0.7", "ip addr del 10.0.0.7/32 dev eth0", ""},
		"without its nexthop": {"ip nexthop add id 5 via 10.0.0.1 dev eth0; ip route add default nhid 5", "ip nexthop del id 5", ""},
		"without IPv6":        {"ip -6 route add default via fe80::1 dev eth0", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1", ""},
		"without its device":  {"ip -6 route add default via fe80::1 dev eth0; ip route add default via 10.0.0.1", "ip link del eth0", ""},
		"with a device down":  {"ip -6 route add default via fe80::1 dev eth0; ip route add default via 10.0.0.1", "ip link set eth0 down", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := podWithDevice(t)
			n.pod.Shell(t, tc.setup)
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 0), replacing("fe80::99", 0)}})
			n.pod.Shell(t, tc.meanwhile)
			for range 2 { // it may be repeated
				n.giveBack(t, plan)
				sameText(t, "default routes without the device", tc.want, n.podDefaults(t))
			}
		})
	}
}

// The pod's default routes make room for all that are asked for.
func TestReplaceDefaultBesideAnother(t *testing.T) {
	t.Parallel()
	n := podWithDevice(t)
	n.pod.Shell(t, "ip route add default via 10.0.0.1")
	other := netmove.RouteRequest{To: prefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.2"), Metric: 1024}
	n.attach(t, netmove.Request{Device: "eth1", PodName: "net1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 0), other}})
	sameText(t, "default routes", `default via 192.0.2.1 dev net1 proto static 
default via 192.0.2.2 dev net1 proto static metric 1024 
default via 10.0.0.1 dev eth0 metric 1025 
`, n.pod.IP(t, "-4 route show default"))
}

// A better metric than that of all others needs no change of these.
func TestReplaceDefaultByMetric(t *testing.T) {
	t.Parallel()
	n := podWithDefaults(t)
	n.pod.Shell(t, "ip route del default via 10.0.0.1; ip route del default via 10.0.0.3")
	n.attach(t, netmove.Request{Device: "eth1", PodName: "net1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 100)}})
	want := "default via 192.0.2.1 dev net1 proto static metric 100 \ndefault via 10.0.0.2 dev eth0 metric 1024 \n"
	sameText(t, "default routes", want, n.pod.IP(t, "-4 route show default"))
}

// A failure after the change gives the pod its routes back.
func TestReplaceDefaultUndone(t *testing.T) {
	t.Parallel()
	n := podWithDefaults(t)
	host, pod := n.host.Settled(t, "eth1"), n.podDefaults(t)
	plan, err := n.plan(netmove.Request{Device: "eth1", Routes: []netmove.RouteRequest{replacing("192.0.2.1", 0), {To: prefix("10.9.0.0/16")}}})
	if err != nil {
		t.Fatal(err)
	}
	n.pod.IP(t, "route add 10.9.0.0/16 dev eth0") // made meanwhile
	if err := n.mover.Attach(t.Context(), n.podNS, plan); err == nil || !strings.Contains(err.Error(), "add route 10.9.0.0/16") {
		t.Errorf("error is %v", err)
	}
	sameText(t, "default routes", pod, n.podDefaults(t))
	n.host.SameDump(t, "eth1", host)
}

// A route that the pod has is refused before anything moves.
func TestRouteOfThePods(t *testing.T) {
	t.Parallel()
	n := podWithDefaults(t)
	n.pod.Shell(t, "ip route add 10.9.0.0/16 dev eth0; ip route add 10.9.0.0/16 dev eth0 table 7 metric 3")
	for _, tc := range []struct {
		route netmove.RouteRequest
		want  string
	}{
		{netmove.RouteRequest{To: prefix("10.9.0.0/16")}, "route 10.9.0.0/16: the pod has one to 10.9.0.0/16 with the same metric and table: choose another metric or table"},
		{netmove.RouteRequest{To: prefix("10.9.0.0/16"), Table: 7, Metric: 3}, "the pod has one"},
		{netmove.RouteRequest{To: prefix("10.9.0.0/16"), Table: 7}, ""},
		{netmove.RouteRequest{To: prefix("10.9.0.0/17")}, ""},
		{netmove.RouteRequest{To: prefix("0.0.0.0/0")}, "choose another metric or table, or say replaceDefault: true"},
		{netmove.RouteRequest{To: prefix("::/0")}, "choose another metric or table, or say replaceDefault: true"},
		{netmove.RouteRequest{To: prefix("::/0"), Metric: 1023}, ""},
	} {
		_, err := n.plan(netmove.Request{Device: "eth1", Routes: []netmove.RouteRequest{tc.route}})
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is %v, want %q", tc.route, err, tc.want)
		}
	}
}

// An IPv4 route goes through an IPv6 next hop.
func TestRouteViaIPv6(t *testing.T) {
	t.Parallel()
	n := podWithDefaults(t)
	n.attach(t, netmove.Request{Device: "eth1", PodName: "net1", Routes: []netmove.RouteRequest{{To: prefix("10.9.0.0/16"), Via: netip.MustParseAddr("fe80::1")}}})
	if got := n.pod.IP(t, "route get 10.9.1.1"); !strings.Contains(got, "via inet6 fe80::1 dev net1") {
		t.Errorf("the pod's route is %s", got)
	}
}

// In a pod without IPv6 what would go along of it stays, and what is asked for is refused.
func TestPodWithoutIPv6(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, `
		ip link set eth1 up
		ip addr add 192.0.2.10/24 dev eth1
		ip addr add 2001:db8::10/64 dev eth1 nodad
		ip route add 10.9.0.0/16 via 192.0.2.1 dev eth1
		ip route add 10.7.0.0/16 via inet6 fe80::1 dev eth1
		ip -6 route add 2001:db8:9::/48 via 2001:db8::1 dev eth1
		ip neigh add 2001:db8::7 lladdr 02:00:00:00:00:07 dev eth1
		ip -6 rule add from 2001:db8::10 lookup 100`)
	n.pod.Shell(t, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
	before := n.host.Settled(t, "eth1")
	for _, r := range []netmove.Request{
		{Addresses: []netip.Prefix{prefix("2001:db8::5/64")}},
		{Routes: []netmove.RouteRequest{{To: prefix("2001:db8:7::/48")}}},
		{Routes: []netmove.RouteRequest{{To: prefix("10.8.0.0/16"), Via: netip.MustParseAddr("fe80::1")}}},
		{Neighbors: []netmove.NeighborRequest{{IP: netip.MustParseAddr("2001:db8::7"), MAC: netmove.MAC{2, 0, 0, 0, 0, 7}}}},
	} {
		r.Device = "eth1"
		if _, err := n.plan(r); err == nil || !strings.Contains(err.Error(), "the pod's network namespace has no IPv6: leave it out") {
			t.Errorf("%+v: error is %v", r, err)
		}
	}
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	var told []string
	for _, d := range plan[0].Differences {
		told = append(told, strings.TrimSuffix(d.String(), " stays on the host: the pod's network namespace has no IPv6"))
	}
	sameText(t, "told", `addresses: 2001:db8::10/64
route: 10.7.0.0/16 via fe80::1
route: 2001:db8:9::/48 via 2001:db8::1 metric 1024
neighbor: 2001:db8::7 lladdr 02:00:00:00:00:07
rule: from 2001:db8::10/128 lookup 100 priority 32765`, strings.Join(told, "\n"))
	if got := n.pod.IP(t, "route get 10.9.1.1"); !strings.Contains(got, "via 192.0.2.1 dev net1") {
		t.Errorf("the pod's route is %s", got)
	}
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
	plan = n.attach(t, netmove.Request{Device: "eth1", Sysctls: map[string]string{netmove.DisableIPv6: "0"}})
	if got := n.pod.IP(t, "-6 addr show eth1"); !strings.Contains(got, "2001:db8::10/64") || len(plan[0].Differences) > 0 {
		t.Errorf("with IPv6 asked for: %s, told %v", got, plan[0].Differences)
	}
}
