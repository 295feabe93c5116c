package kernel_test

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// batch runs ip(8) for each line of a script.
func batch(t *testing.T, ns *nstest.NS, script string) {
	t.Helper()
	for _, args := range lines(script) {
		ns.IP(t, args)
	}
}

// lines are those of a script that are not empty.
func lines(script string) []string {
	var list []string
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	return list
}

func TestReturnRoutesAndNeighbors(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	batch(t, n.host, `
		link set eth1 up
		link set eth2 up
		addr add 192.0.2.1/24 dev eth1
		addr add 2001:db8::1/64 dev eth1
		addr add 203.0.113.1/24 dev eth2
		addr add 2001:db8:2::1/64 dev eth2
		route add 198.51.100.0/24 via 192.0.2.254 metric 50
		route add 198.51.100.0/24 via 192.0.2.253 metric 60 mtu 1400 advmss 1300
		route add 10.1.0.0/16 dev eth1 src 192.0.2.1 table 100 proto static
		route add 10.2.0.0/16 via 10.1.0.1 dev eth1 onlink table 100
		route add 10.4.0.0/16 nexthop via 192.0.2.254 weight 3 nexthop via 192.0.2.253
		route add 10.5.0.0/16 nexthop via 192.0.2.254 nexthop via 203.0.113.254
		route add 10.6.0.0/16 via inet6 2001:db8::fe dev eth1
		route add 2001:db8:10::/48 via 2001:db8::fe metric 7 pref high
		route add 2001:db8:11::/48 via fe80::1 dev eth1 mtu 1300
		route add 2001:db8:12::/48 nexthop via 2001:db8::fe nexthop via 2001:db8::fd
		route add 2001:db8:13::/48 nexthop via 2001:db8::fe nexthop via 2001:db8:2::fe
		nexthop add id 10 via 192.0.2.254 dev eth1
		nexthop add id 11 via 203.0.113.254 dev eth2
		nexthop add id 12 via 2001:db8::fe dev eth1
		nexthop add id 20 group 10,3/11
		nexthop add id 21 group 10
		route add 10.7.0.0/16 nhid 10
		route add 10.8.0.0/16 nhid 20
		route add 10.9.0.0/16 nhid 21
		route add 2001:db8:14::/48 nhid 12
		neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth1
		neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev eth1 router
		neigh add proxy 192.0.2.10 dev eth1
		neigh add proxy 2001:db8::10 dev eth1
		rule add iif eth1 table 100
		-6 rule add oif eth1 table 100`)
	before, other := n.host.Settled(t, "eth1"), n.host.Settled(t, "eth2")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if d := plan[0].Differences; len(d) > 0 {
		t.Errorf("in the pod: %v", d)
	}
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
	n.host.SameDump(t, "eth2", other)
}

// hostile is what a pod with NET_ADMIN can do to the settings of its device.
const hostile = `
	ip addr flush dev net1
	ip link set net1 down
	ip link set net1 mtu 1300 txqueuelen 7 group 9 alias theirs address 02:66:66:66:66:66
	ip link set net1 gso_max_size 20000 gso_max_segs 100 gro_max_size 30000 promisc on allmulticast on
	ip link set net1 mode dormant
	ip link set net1 addrgenmode none
	ip link property add dev net1 altname theirs0
	ip link set net1 up
	ip token set ::bad dev net1
	ip addr add 10.66.0.1/24 dev net1
	ip route add 10.67.0.0/16 via 10.66.0.2
	ip neigh add 10.66.0.9 lladdr 02:00:00:00:00:66 dev net1
	bridge fdb add 02:00:00:00:00:67 dev net1
	ethtool -K net1 tso off gro on tx off
	ip link set net1 arp off multicast off
	ip link set net1 name theirs1 || { ip link set net1 down; ip link set net1 name theirs1; ip link set theirs1 up; } # before Linux 6.2
	for d in ipv4/conf ipv6/conf ipv4/neigh ipv6/neigh; do
		for f in /proc/sys/net/$d/theirs1/*; do
			read -r v <$f 2>/dev/null && echo $((v + 1)) 2>/dev/null >$f || true
		done
	done`

func TestReturnSettings(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, `
		sysctl -qw net.ipv4.conf.eth1.arp_ignore=2 net.ipv4.conf.eth1.rp_filter=1 net.ipv4.conf.eth1.forwarding=1
		sysctl -qw net.ipv6.conf.eth1.accept_ra=2 net.ipv6.conf.eth1.dad_transmits=0 net.ipv6.conf.eth1.forwarding=1
		sysctl -qw net.ipv6.conf.eth1.stable_secret=2001:db8::5ec:1e7
		sysctl -qw net.ipv4.neigh.eth1.ucast_solicit=5 net.ipv6.neigh.eth1.gc_stale_time=17
		sysctl -qw net.ipv4.neigh.eth1.base_reachable_time_ms=12345
		ip link set eth1 gso_max_size 50000 gro_max_size 40000 alias ours txqueuelen 77
		ip link set eth1 addrgenmode stable_secret
		ip link set eth1 up
		ip token set ::5 dev eth1
		ip addr add 192.0.2.1/24 dev eth1
		ip addr add 2001:db8::1/64 dev eth1
		ip link property add dev eth1 altname ours0
		bridge fdb add 02:00:00:00:00:77 dev eth1`)
	n.returnsExactly(t, "eth1")
}

func TestReturnBridgePort(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, `
		ip link add br0 type bridge
		ip link set br0 up
		ip link set eth1 master br0 up
		bridge link set dev eth1 cost 55 priority 9 learning off flood off hairpin on guard on isolated on neigh_suppress on
		bridge fdb add 02:00:00:00:00:aa dev eth1 master static
		bridge fdb add 02:00:00:00:00:bb dev eth1 master static sticky`)
	n.returnsExactly(t, "eth1")
}

func TestReturnBridgeVLANs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	if out, err := n.host.TryIP("link add br0 type bridge vlan_filtering 1"); err != nil {
		nstest.Unavailable(t, "vlan_filtering", out)
	}
	n.host.Shell(t, `
		ip link set br0 up
		ip link set eth1 master br0 up
		bridge vlan del vid 1 dev eth1
		bridge vlan add vid 10 pvid untagged dev eth1
		bridge vlan add vid 20-25 dev eth1
		bridge fdb add 02:00:00:00:00:aa dev eth1 master static vlan 10
		bridge fdb add 02:00:00:00:00:bb dev eth1 master static
		bridge mdb add dev br0 port eth1 grp 239.1.1.1 permanent vid 10
		bridge vlan add vid 30 dev eth1`)
	n.returnsExactly(t, "eth1")
}

// VLANs of a bridge are carried by a vxlan, each in a VNI of its own.
func TestReturnVLANTunnels(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	if out, err := n.host.TryIP("link add br0 type bridge vlan_filtering 1"); err != nil {
		nstest.Unavailable(t, "vlan_filtering", out)
	}
	n.host.Shell(t, `
		ip link set br0 up
		ip link add vx0 type vxlan external dstport 4789
		ip link set vx0 master br0 up
		bridge link set dev vx0 vlan_tunnel on
		bridge vlan add vid 10 dev vx0
		bridge vlan add vid 10 dev vx0 tunnel_info id 1010
		bridge vlan add vid 20-22 dev vx0
		bridge vlan add vid 20-22 dev vx0 tunnel_info id 1020-1022
		bridge fdb add 02:00:00:00:00:aa dev vx0 master static vlan 10
		bridge fdb add 02:00:00:00:00:aa dev vx0 dst 10.0.0.2 src_vni 1010`)
	n.returnsFrom(t, "vx0", "bridge fdb add 02:66:00:00:00:11 dev net1 dst 10.66.66.66 src_vni 1010")
}

// returnsExactly gives the device to a hostile pod, and takes it back.
func (n *node) returnsExactly(t *testing.T, dev string) {
	t.Helper()
	before := n.host.Settled(t, dev)
	plan := n.attach(t, netmove.Request{Device: dev, PodName: "net1"})
	if d := plan[0].Differences; len(d) > 0 {
		t.Errorf("in the pod: %v", d)
	}
	if out, err := n.pod.Command("sh", "-c", hostile).CombinedOutput(); !strings.Contains(n.pod.IP(t, "-o link"), "theirs1") {
		t.Errorf("the pod could not do its worst: %v: %s", err, out)
	}
	n.giveBack(t, plan)
	n.host.SameDump(t, dev, before)
}

// Simple queueing disciplines are put back.
func TestReturnQdisc(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{
		"pfifo limit 77", "bfifo limit 30000", "handle 5: pfifo_fast",
		"fq limit 5000 flow_limit 50 maxrate 1gbit", "fq_codel limit 500 flows 512 noecn", "codel target 7ms",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.host.IP(t, "link set eth1 up")
			qdisc := strings.TrimPrefix(kind, "handle 5: ")
			if name, _, _ := strings.Cut(qdisc, " "); !hasQdisc(t, n.pod, name) {
				nstest.Unavailable(t, "kinds", "queueing discipline "+name)
			}
			tc(t, n.host, "qdisc add dev eth1 root "+kind)
			n.returnsExactly(t, "eth1")
		})
	}
}

// hasQdisc reports whether this kernel has such a discipline.
func hasQdisc(t *testing.T, ns *nstest.NS, name string) bool {
	t.Helper()
	ns.IP(t, "link add q0 type ifb")
	defer ns.IP(t, "link del q0")
	return ns.Command("tc", "qdisc", "add", "dev", "q0", "root", name).Run() == nil
}

// What goes along into a pod, and what does not.
func TestIntoThePod(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	n.host.Shell(t, `
		sysctl -qw net.ipv6.conf.default.accept_dad=0
		ip link set eth2 up
		ip addr add 203.0.113.1/24 dev eth2
		sysctl -qw net.ipv4.conf.eth1.arp_ignore=2
		ip link set eth1 up
		ip addr add 192.0.2.1/24 dev eth1
		ip addr add 192.0.2.7/24 valid_lft 4000 preferred_lft 4000 dev eth1
		ip addr add 2001:db8::1/64 dev eth1
		ip route add 10.1.0.0/16 via 192.0.2.254 metric 50 mtu 1400
		ip route add 10.2.0.0/16 dev eth1 table 100 src 192.0.2.1
		ip route add 10.3.0.0/16 via 10.2.0.9 dev eth1 table 100
		ip route add 10.4.0.0/16 via 192.0.2.254
		ip route add 2001:db8:1::/48 via fe80::1 dev eth1
		ip route add 10.10.0.0/16 via 192.0.2.254 src 192.0.2.7
		ip route add 10.11.0.0/16 via 198.51.100.1 dev eth1 onlink
		ip route add 10.12.0.0/16 via 192.0.2.254 proto bird
		ip route add 10.13.0.0/16 nexthop via 192.0.2.254 nexthop via 203.0.113.254
		ip nexthop add id 9 via 192.0.2.254 dev eth1
		ip route add 10.14.0.0/16 nhid 9
		ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth1
		ip route append 10.15.0.0/16 dev eth2
		ip route append 10.15.0.0/16 via 192.0.2.254 dev eth1
		ip route append 10.16.0.0/16 via 192.0.2.254 dev eth1
		ip route append 10.16.0.0/16 via 192.0.2.253 dev eth1
		ip neigh add proxy 192.0.2.10 dev eth1
		bridge fdb add 02:00:00:00:00:77 dev eth1`)
	n.pod.IP(t, "link add name eth0 type veth peer name far0")
	n.pod.Shell(t, "sysctl -qw net.ipv6.conf.default.accept_dad=0; ip link set eth0 up; ip route add 10.4.0.0/16 dev eth0; ip route add 10.15.0.0/16 dev eth0")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if d := plan[0].Differences; len(d) > 0 {
		t.Errorf("in the pod: %v", d)
	}
	out, err := n.pod.Command("sh", "-c", `
		ip route show table all proto boot
		ip neigh show dev net1 nud permanent
		ip neigh show proxy dev net1
		bridge fdb show dev net1 | grep -v 33:33 | grep -v 01:00:5e
		ip nexthop
		cat /proc/sys/net/ipv4/conf/net1/arp_ignore`).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	sameText(t, "the pod", `10.2.0.0/16 dev net1 table 100 scope link src 192.0.2.1 
10.3.0.0/16 via 10.2.0.9 dev net1 table 100 
10.1.0.0/16 via 192.0.2.254 dev net1 metric 50 mtu 1400 
10.4.0.0/16 dev eth0 scope link linkdown 
10.10.0.0/16 via 192.0.2.254 dev net1 
10.11.0.0/16 via 198.51.100.1 dev net1 onlink 
10.15.0.0/16 dev eth0 scope link linkdown 
10.16.0.0/16 via 192.0.2.254 dev net1 
10.16.0.0/16 via 192.0.2.253 dev net1 
2001:db8:1::/48 via fe80::1 dev net1 metric 1024 pref medium
192.0.2.9 lladdr 02:00:00:00:00:09 PERMANENT 
0
`, string(out))
	n.giveBack(t, plan)
}
