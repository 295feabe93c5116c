package kernel_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

// hostDevice is what eth1 is on the host.
const hostDevice = `sysctl -qw net.ipv6.conf.eth1.accept_dad=0
	ip link set eth1 up; ip addr add 192.0.2.8/24 dev eth1; ip addr add 2001:db8::8/64 dev eth1
	ip route add 10.0.0.0/8 via 192.0.2.9; ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 nud permanent dev eth1`

// wish asks for everything there is on a veth.
func wish(device string) netmove.Request {
	return netmove.Request{
		Device: device, PodName: "net1",
		Addresses: []netip.Prefix{prefix("192.0.2.5/24"), prefix("2001:db8::5/64")},
		MTU:       2000, MAC: netmove.MAC{2, 0, 0, 0, 0, 0x55},
		Routes: []netmove.RouteRequest{
			{To: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Metric: 100},
			{To: prefix("::/0"), Via: addr("fe80::1"), Table: 1000},
			{To: prefix("203.0.113.0/24"), Via: addr("198.51.100.1"), Src: addr("192.0.2.5")},
			{To: prefix("198.51.100.0/24"), Scope: netmove.ScopeLink},
			{To: prefix("2001:db8:1::/48"), Via: addr("2001:db8::1"), Src: addr("2001:db8::5")},
			{To: prefix("198.18.0.0/15"), Via: addr("172.16.0.1"), OnLink: true},
			{To: prefix("10.9.0.0/16"), Scope: netmove.ScopeHost, Table: 255},
		},
		Rules: []netmove.RuleRequest{
			{From: prefix("192.0.2.5/32"), Table: 1000, Priority: 500},
			{To: prefix("2001:db8:9::/48"), Table: 1000},
			{FwMark: 0x10, Table: 100, Priority: 600},
		},
		Neighbors: []netmove.NeighborRequest{
			{IP: addr("192.0.2.1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 1}}, {IP: addr("fe80::1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 1}},
		},
		Sysctls: map[string]string{"ipv4/arp_ignore": "2", "ipv4/rp_filter": "2", "ipv6/accept_ra": "0", "ipv6/addr_gen_mode": "1"},
		Features: map[string]bool{
			"tx-checksumming": false, "tcp-segmentation-offload": false, "rx-gro": true, "tx-vlan-hw-insert": false,
		},
		GSOMaxSize: 100000, GROMaxSize: 90000, GSOIPv4MaxSize: 80000, GROIPv4MaxSize: 70000,
	}
}

func TestWish(t *testing.T) {
	t.Parallel()
	for name, newPod := range map[string]func(testing.TB) *nstest.NS{"pod": nstest.New, "pod of a user namespace": nstest.NewUserNS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNodeWith(t, newPod(t))
			n.veth(t, "eth1")
			n.host.Shell(t, hostDevice)
			before := n.host.Settled(t, "eth1")
			rules := n.pod.IP(t, "rule") + n.pod.IP(t, "-6 rule")
			plan := n.attach(t, n.onThisKernel(t, wish("eth1")))
			if len(plan[0].Differences) > 0 {
				t.Errorf("differs: %v", plan[0].Differences)
			}
			checkWish(t, n.pod)
			checkSizes(t, n.podNS, plan[0].Request) // ip(8) of Debian 12 does not know those of IPv4
			n.giveBack(t, plan)
			n.host.SameDump(t, "eth1", before)
			sameText(t, "rules of the pod", rules, n.pod.IP(t, "rule")+n.pod.IP(t, "-6 rule"))
		})
	}
}

// checkWish looks at the pod with the eyes of its programs.
func checkWish(t *testing.T, pod *nstest.NS) {
	t.Helper()
	for _, tc := range []struct {
		args string
		want []string
	}{
		{"-d link show dev net1", []string{"mtu 2000", "02:00:00:00:00:55", "gso_max_size 100000", "gro_max_size 90000", "UP"}},
		{"addr show dev net1", []string{"192.0.2.5/24", "2001:db8::5/64"}},
		{"route show table all dev net1", []string{
			"default via 192.0.2.1 proto static metric 100", "203.0.113.0/24 via 198.51.100.1 proto static src 192.0.2.5",
			"198.51.100.0/24 proto static scope link", "198.18.0.0/15 via 172.16.0.1 proto static onlink",
			"10.9.0.0/16 table local proto static scope host",
		}},
		{"-6 route show table all dev net1", []string{
			"default via fe80::1 table 1000 proto static", "2001:db8:1::/48 via 2001:db8::1 proto static src 2001:db8::5",
		}},
		{"rule", []string{"500:	from 192.0.2.5 lookup 1000 proto static", "600:	from all fwmark 0x10 lookup 100 proto static"}},
		{"-6 rule", []string{"from all to 2001:db8:9::/48 lookup 1000 proto static", "600:	from all fwmark 0x10 lookup 100 proto static"}},
		{"neigh show dev net1 nud permanent", []string{"192.0.2.1 lladdr 02:00:00:00:00:01 PERMANENT", "fe80::1 lladdr 02:00:00:00:00:01 PERMANENT"}},
	} {
		got := pod.IP(t, tc.args)
		for _, want := range tc.want {
			if !strings.Contains(got, want) {
				t.Errorf("ip %s: has not\n%s\nbut\n%s", tc.args, want, got)
			}
		}
	}
	if routes := pod.IP(t, "route show table all dev net1"); strings.Contains(routes, "10.0.0.0/8") {
		t.Errorf("the pod has a route of the host's:\n%s", routes)
	}
	for command, want := range map[string]string{
		"cat /proc/sys/net/ipv4/conf/net1/arp_ignore":    "2",
		"cat /proc/sys/net/ipv4/conf/net1/rp_filter":     "2",
		"cat /proc/sys/net/ipv6/conf/net1/accept_ra":     "0",
		"cat /proc/sys/net/ipv6/conf/net1/addr_gen_mode": "1",
		"ethtool -k net1": "tx-checksumming: off", "ethtool -k net1 ": "tcp-segmentation-offload: off",
		"ethtool -k  net1": "generic-receive-offload: on", "ethtool  -k net1": "tx-vlan-offload: off",
	} {
		out, err := pod.Command("sh", "-c", command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: want %s:\n%s", command, err, want, out)
		}
	}
}

// onThisKernel leaves out what Linux has since 6.3, where it is refused.
func (n *node) onThisKernel(t *testing.T, r netmove.Request) netmove.Request {
	t.Helper()
	_, err := n.plan(r)
	if err == nil {
		return r
	}
	const lacks = "gsoIPv4MaxSize 80000: this node's kernel has no such setting\n" +
		"device \"eth1\": groIPv4MaxSize 70000: this node's kernel has no such setting"
	if !strings.Contains(err.Error(), lacks) {
		t.Fatal(err)
	}
	t.Log("this kernel has no sizes for IPv4")
	r.GSOIPv4MaxSize, r.GROIPv4MaxSize = 0, 0
	return r
}

func checkSizes(t *testing.T, pod *kernel.Namespace, r netmove.Request) {
	t.Helper()
	dev, err := pod.ByName("net1")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"gso_max_size": 100000, "gro_max_size": 90000, "gso_ipv4_max_size": r.GSOIPv4MaxSize, "gro_ipv4_max_size": r.GROIPv4MaxSize,
	} {
		if want == 0 {
			continue
		}
		i := slices.IndexFunc(dev.Options, func(o netmove.Option) bool { return o.Name == name })
		if i < 0 || int(binary.NativeEndian.Uint32(dev.Options[i].Value)) != want {
			t.Errorf("%s is not %d: %v", name, want, dev.Options)
		}
	}
}

// The settings do what they are for: packets go by the routes, rules and neighbors, and of
// the size, that the pod asks for.
func TestWishTraffic(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	far.Shell(t, `ip link set eth1p address 02:00:00:00:00:01 mtu 2000
		sysctl -qw net.ipv4.conf.eth1p.arp_ignore=8 net.ipv4.conf.all.arp_ignore=8 # nobody answers for its neighbors
		ip addr add 192.0.2.1/24 dev eth1p; ip addr add 2001:db8::1/64 dev eth1p nodad
		ip link set lo up; ip addr add 203.0.113.1/32 dev lo; ip addr add 198.18.0.1/32 dev lo; ip addr add 2001:db8:1::1/128 dev lo nodad
		ip addr add 2001:db8:9::1/128 dev lo nodad`)
	n.attach(t, netmove.Request{
		Device: "eth1", Addresses: []netip.Prefix{prefix("192.0.2.5/24"), prefix("2001:db8::5/64")}, MTU: 2000,
		Routes: []netmove.RouteRequest{
			{To: prefix("203.0.113.0/24"), Via: addr("192.0.2.1"), Src: addr("192.0.2.5")},
			{To: prefix("2001:db8:1::/48"), Via: addr("2001:db8::1")},
			{To: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Table: 1000},
			{To: prefix("::/0"), Via: addr("2001:db8::1"), Table: 1000},
		},
		Rules: []netmove.RuleRequest{{To: prefix("198.18.0.0/15"), Table: 1000}, {To: prefix("2001:db8:9::/48"), Table: 1000}},
		Neighbors: []netmove.NeighborRequest{
			{IP: addr("192.0.2.1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 1}}, {IP: addr("2001:db8::1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 1}},
		},
		GSOMaxSize: 100000, Sysctls: map[string]string{"ipv4/rp_filter": "0"},
	})
	for _, ip := range []string{"192.0.2.5", "2001:db8::5"} {
		far.IP(t, "neigh replace "+ip+" dev eth1p nud permanent lladdr "+podMAC(t, n))
	}
	for _, dst := range []string{"203.0.113.1", "198.18.0.1", "2001:db8:1::1", "2001:db8:9::1"} {
		out, err := n.pod.Command("ping", "-c1", "-w60", "-Mdo", "-s1900", dst).CombinedOutput()
		if err != nil {
			t.Errorf("ping %s from the pod: %v\n%s", dst, err, out)
		}
	}
}

func podMAC(t *testing.T, n *node) string {
	t.Helper()
	dev, err := n.podNS.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	return dev.MAC.String()
}

// What the kernel refuses of a wish refuses the attach: the host has its device, and the
// pod has its rules, as they were.
func TestWishRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, pod string // what the pod has
		change    func(*netmove.Request)
		want      string
	}{
		{"route of the pod's", "route add default dev eth0 metric 100", func(*netmove.Request) {}, "route 0.0.0.0/0 via 192.0.2.1 metric 100: the pod has one to 0.0.0.0/0 with the same metric and table: choose another metric or table, or say replaceDefault: true"},
		{"IPv6 route of the pod's", "route add 2001:db8:1::/48 dev eth0", func(*netmove.Request) {}, "route 2001:db8:1::/48 via 2001:db8::1 src 2001:db8::5: the pod has one to 2001:db8:1::/48 with the same metric and table: choose another metric or table"},
		{"rule of the pod's", "rule add from 192.0.2.5 lookup 1000 priority 500", func(*netmove.Request) {}, `rule from 192.0.2.5/32 priority 500 table 1000: the pod has it already`},
		{"rule of another priority", "-6 rule add to 2001:db8:9::/48 lookup 1000 priority 77", func(*netmove.Request) {}, "rule to 2001:db8:9::/48 table 1000: the pod has it already"},
		{"next hop is local", "addr add 172.16.0.1/32 dev lo", func(*netmove.Request) {}, "add route 198.18.0.0/15 via 172.16.0.1 onlink: "},
		{"sysctl the kernel does not take", "", func(r *netmove.Request) { r.Sysctls["ipv6/addr_gen_mode"] = "2" }, "set sysctl ipv6/addr_gen_mode 2: "},
		{"sysctl the kernel does not have", "", func(r *netmove.Request) { r.Sysctls["ipv4/of_tomorrow"] = "2" }, "set sysctl ipv4/of_tomorrow 2: "},
		{"feature that others need", "", func(r *netmove.Request) {
			r.Features = map[string]bool{"tx-scatter-gather": false, "tx-generic-segmentation": true}
		}, "set offload features tx-generic-segmentation on tx-scatter-gather off: tx-generic-segmentation did not change"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.host.Shell(t, hostDevice)
			n.pod.Shell(t, "ip link add eth0 type ifb; ip link set eth0 up; ip addr add 203.0.113.200/32 dev eth0")
			if tc.pod != "" {
				n.pod.IP(t, tc.pod)
			}
			before, world := n.host.Settled(t, "eth1"), n.pod.Settled(t, "eth0")
			rules := n.pod.IP(t, "rule") + n.pod.IP(t, "-6 rule")
			r := wish("eth1")
			tc.change(&r)
			plan, err := n.plan(r)
			if err == nil {
				err = n.mover.Attach(t.Context(), n.podNS, plan)
			}
			if !strings.Contains(fmt.Sprint(err), `device "eth1": `+tc.want) {
				t.Errorf("error\n%v\nwant\n%s", err, tc.want)
			}
			n.host.SameDump(t, "eth1", before)
			n.pod.SameDump(t, "eth0", world)
			sameText(t, "rules of the pod", rules, n.pod.IP(t, "rule")+n.pod.IP(t, "-6 rule"))
		})
	}
}

// What is as it shall be needs no switching, not even of what cannot be switched.
func TestFixedFeature(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	before := n.host.Settled(t, "eth1")
	plan := n.attach(t, netmove.Request{Device: "eth1", Features: map[string]bool{"large-receive-offload": false}})
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
}

// A rule with more to it than was asked for is not taken for the one that was.
func TestDropRule(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	k := open(t, ns)
	ns.Shell(t, "ip rule add from 192.0.2.5 iif lo lookup 1000; ip rule add from 192.0.2.5 fwmark 1 lookup 1000; ip rule add from 192.0.2.5 lookup 100000; ip rule add not from 192.0.2.5 lookup 1000")
	before := ns.IP(t, "rule")
	r := netmove.RuleRequest{From: prefix("192.0.2.5/32"), Table: 1000}
	for range 2 {
		if err := k.AddRule(r); err != nil {
			t.Fatal(err)
		}
		if err := k.DropRule(r); err != nil {
			t.Error(err)
		}
		sameText(t, "rules", before, ns.IP(t, "rule"))
	}
}

// Programs of the host's go for a pod that asks for it, and come back.
func TestDetachBPF(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		put  func(t *testing.T, ns *nstest.NS, dev string)
	}{
		{"XDP", xdpByNetlink},
		{"XDP link", xdpByLink},
		{"TCX", func(t *testing.T, ns *nstest.NS, dev string) {
			tcxByProgram(t, ns, dev, ebpf.AttachTCXIngress)
			tcxByProgram(t, ns, dev, ebpf.AttachTCXEgress)
		}},
		{"TCX links", func(t *testing.T, ns *nstest.NS, dev string) {
			tcxByLink(t, ns, dev, ebpf.AttachTCXEgress)
			tcxByLink(t, ns, dev, ebpf.AttachTCXEgress)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			tc.put(t, n.host, "eth1")
			ids := func() (list []string) {
				dev, err := netmove.Read(n.hostNS, "eth1")
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range dev.Programs {
					list = append(list, fmt.Sprint(p.Hook, p.ID))
				}
				return list
			}
			before := ids()
			if len(before) == 0 {
				t.Fatal("the host has no program on it")
			}
			for range 2 { // the second time they are held by nobody's link
				plan := n.attach(t, netmove.Request{Device: "eth1", DetachBPF: true})
				dev, err := netmove.Read(n.podNS, "eth1")
				if err != nil || len(dev.Programs) > 0 {
					t.Errorf("in the pod: %v, %v", dev.Programs, err)
				}
				n.giveBack(t, plan)
				sameText(t, "programs", strings.Join(before, "\n"), strings.Join(ids(), "\n"))
			}
		})
	}
}
