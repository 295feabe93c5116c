package nstest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Script is a shell script of lines that stand for themselves, so that it does less
// without some of them. What the kernel refuses, it refuses.
type Script struct {
	Device string   // $d, which a line that renames the device sets anew
	Places []*NS    // namespaces that lines may use: $ns0, $ns1
	Lines  []string // each may use functions of scriptFunctions
}

// scriptFunctions are what lines call.
const scriptFunctions = helperScript + `
far() { n=$1; shift; nsenter --net="$n" "$@"; }
sys() { unshare -m sh -c 'mount -t sysfs sysfs /sys && echo "$1" >/sys/class/net/"$2"' sys "$1" "$2"; }
away() { ip link set "$d" netns "$1" && far "$1" ip link set "$d" netns "$here"; ip link set "$d" up; }
called() { ip link set "$d" down; ip link set "$d" name "$1" && d=$1; ip link set "$d" up; }
`

// String is the script for sh -c.
func (s Script) String() string {
	var b strings.Builder
	b.WriteString(scriptFunctions)
	fmt.Fprintf(&b, "here=/proc/$$/ns/net\nd=%s\n", s.Device)
	for i, ns := range s.Places {
		fmt.Fprintf(&b, "ns%d=%s\n", i, ns.path)
	}
	for _, line := range s.Lines {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// Text is its lines, for people.
func (s Script) Text() string { return strings.Join(s.Lines, "\n") }

// With is the script with other lines.
func (s Script) With(lines []string) Script {
	s.Lines = lines
	return s
}

// randomKind is a kind of device that RandomDevice makes.
type randomKind struct {
	script string
	port   bool // a bridge takes it, as it is made here
	vm     bool // a kernel may lack it
}

func randomKinds() []randomKind {
	const low = "ip link add low type veth peer name far; ip link set low up; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; ip link set far up; ip link add link low name $d type "
	kinds := []randomKind{
		{script: "ip link add $d numtxqueues 4 numrxqueues 4 type veth peer name far; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; ip link set far up", port: true},
		{script: "ip link add $d type ifb", port: true},
		{script: low + "macvlan mode bridge"},
		{script: low + "macvlan mode source"},
		{script: low + "macvlan mode passthru"},
		{script: low + "macvtap mode vepa"},
		{script: "ip link add $d type vxlan id 5 dstport 4789 remote 192.0.2.9 ttl 7", port: true},
		{script: "ip link add $d type vxlan id 5 dstport 4789", port: true},
		{script: "ip link add $d type vxlan dstport 4789 external vnifilter", port: true},
		{script: "ip tuntap add $d mode tap user 7"},
		{script: "ip tuntap add $d mode tap multi_queue vnet_hdr"},
		{script: "ip tuntap add $d mode tun"},
		{script: "ip link add $d type dummy", port: true, vm: true},
		{script: low + "vlan id 5 ingress-qos-map 1:2", vm: true},
		{script: low + "vlan id 5", vm: true},
		{script: low + "ipvlan mode l2", vm: true},
		{script: low + "ipvlan mode l3 private; ip link add link low name sibling type ipvlan", vm: true},
		{script: low + "macsec port 7 encrypt on", vm: true},
		{script: "ip link add $d type geneve id 5 remote 192.0.2.9", port: true, vm: true},
		{script: "ip link add $d type gretap remote 192.0.2.9 local 192.0.2.8", port: true, vm: true},
		{script: "ip link add $d type gre remote 192.0.2.9 local 192.0.2.8 key 5", vm: true},
		{script: "ip link add $d type ipip remote 192.0.2.9 local 192.0.2.8", vm: true},
		{script: "ip link add $d type sit remote 192.0.2.9 local 192.0.2.8", vm: true},
		{script: "ip link add $d type sit local 192.0.2.8 isatap", vm: true},
		{script: "ip link add $d type ip6tnl remote 2001:db8::9 local 2001:db8::8", vm: true},
		{script: "ip link add $d type ip6gretap remote 2001:db8::9 local 2001:db8::8", port: true, vm: true},
		{script: "ip link add $d type vti remote 192.0.2.9 local 192.0.2.8 key 5", vm: true},
		{script: "ip link add $d type xfrm if_id 5", vm: true},
		{script: "ip link add $d type vcan", vm: true},
		{script: "ip link add $d type nlmon", vm: true},
		{script: "ip link add $d type wireguard", vm: true},
		{script: "ip link add $d type wireguard; wg set $d listen-port 5555 peer 6666666666666666666666666666666666666666660= allowed-ips 10.9.0.0/24", vm: true},
	}
	if os.Getenv("NRI_NETDEV_VM") != "" {
		return kinds
	}
	return slices.DeleteFunc(kinds, func(k randomKind) bool { return k.vm })
}

// hostLinks is what a host sets on its device.
func hostLinks() []string {
	return []string{
		"ip link set $d mtu %mtu%", "ip link set $d txqueuelen %n%", "ip link set $d group %n%", "ip link set $d alias rack%n%",
		"ip link set $d promisc on", "ip link set $d allmulticast on", "ip link set $d multicast off",
		"ip link set $d dynamic on", "ip link set $d trailers off", "ip link set $d arp off", "ip link set $d carrier off",
		"ip link set $d protodown on", "ip link set $d protodown on protodown_reason %small% on",
		"ip link property add dev $d altname alt%n%", "ip link set $d gso_max_size %big%", "ip link set $d gro_max_size %big%",
		"ip link set $d gso_max_segs %n%", "ip link set $d mode dormant",
		"ip link set $d addrgenmode eui64", "ethtool -K $d gro on", "ethtool -K $d tso off", "ethtool -L $d rx 2 tx 2",
		"ip link set $d addrgenmode random", "sysctl -qw net.ipv6.conf.$d.stable_secret=2001:db8::5ec:1e7; ip link set $d addrgenmode stable_secret",
		"sysctl -qw net.ipv4.conf.$d.arp_ignore=%small%", "sysctl -qw net.ipv4.conf.$d.rp_filter=%small%",
		"sysctl -qw net.ipv6.conf.$d.accept_ra=%small%", "sysctl -qw net.ipv6.conf.$d.hop_limit=%n%",
		"sysctl -qw net.ipv6.conf.$d.disable_ipv6=0", "sysctl -qw net.ipv4.neigh.$d.retrans_time_ms=%big%",
		"sysctl -qw net.ipv6.neigh.$d.proxy_qlen=%n%", "sysctl -qw net.ipv4.conf.$d.forwarding=1",
		"tc qdisc add dev $d root pfifo limit %n%", "tc qdisc add dev $d root stab overhead %n% pfifo limit 50",
		"sys 1 $d/queues/rx-0/rps_cpus", "sys 1 $d/queues/tx-0/xps_cpus", "sys %n% $d/gro_flush_timeout", "sys %small% $d/napi_defer_hard_irqs",
		"sys 1 $d/threaded", "sys %n% $d/queues/rx-1/rps_flow_cnt", "sys 3 $d/queues/rx-3/rps_cpus",
		"bridge fdb add 02:00:00:00:00:77 dev $d",
		"ip link set $d type macvlan macaddr add 02:00:00:00:22:%small%0", "ip link set $d type vlan egress-qos-map 2:3",
		"bridge fdb append 00:00:00:00:00:00 dev $d dst 10.0.0.%n%", "bridge fdb append 00:00:00:00:00:00 dev $d dst 10.0.0.%n%",
		"bridge fdb add 02:00:00:00:00:11 dev $d dst 10.0.0.2 vni %n% port %big%",
		"bridge vni add dev $d vni %n%", "bridge vni add dev $d vni 400-410", "bridge vni add dev $d vni 500 remote 192.0.2.%n%",
		"ip macsec add $d tx sa 0 pn 1 on key 01 12345678901234567890123456789012",
		"ip macsec add $d rx port 9 address 02:00:00:00:00:99",
		"helper tap-offload $d", "helper tap-size $d",
	}
}

// hostPort is what a host sets on a port of its bridge.
func hostPort() []string {
	return []string{
		"bridge link set dev $d cost %n%", "bridge link set dev $d learning off", "bridge link set dev $d isolated on",
		"bridge fdb add 02:00:00:00:00:aa dev $d master static", "bridge mdb add dev br0 port $d grp 239.1.1.%n% permanent",
		"bridge vlan add vid %n% dev $d", "bridge vlan add vid 300-310 dev $d", "bridge vlan add vid 320 dev $d pvid untagged",
		"bridge vlan set vid 300 dev $d state 1", "bridge link set dev $d vlan_tunnel on; bridge vlan add dev $d vid 311 tunnel_info id 311",
		"ip link add other0 type ifb; ip link set other0 master br0 up; bridge link set dev $d backup_port other0",
		"bridge link set dev $d mcast_router 2", "bridge link set dev $d neigh_suppress on",
	}
}

// hostTables is what a host has in its tables for a device that is up.
func hostTables() []string {
	return []string{
		"ip addr add 192.0.2.2/24 dev $d label $d:x", "ip addr add 192.0.2.77 peer 198.51.100.%n% dev $d",
		"ip addr add 169.254.7.7/16 scope link dev $d", "ip addr add 203.0.113.1/24 brd + metric %n% dev $d",
		"ip addr add 2001:db8:1::%n%/64 metric %n% dev $d", "ip addr add 2001:db8:2::1/64 noprefixroute dev $d",
		"ip addr add 203.0.113.200/25 valid_lft 4000 preferred_lft 3000 dev $d", "ip addr add 2001:db8:3::1/64 proto 99 dev $d",
		"ip route add 10.%n%.0.0/16 via 192.0.2.254 dev $d metric %n%", "ip route add 10.1.%n%.0/24 dev $d table %n%",
		"ip route add 10.2.0.0/16 nexthop via 192.0.2.254 dev $d weight 2 nexthop via 192.0.2.253 dev $d",
		"ip route add 10.3.0.0/16 via 192.0.2.254 dev $d tos 8 realm 3 initcwnd %n% lock mtu 1300", "ip route add multicast 239.0.0.0/8 dev $d",
		"ip route add local 10.5.0.0/16 dev $d", "ip route add broadcast 10.6.255.255 dev $d", "ip route append 10.%small%.0.0/16 via 192.0.2.253 dev $d",
		"ip route add 10.7.0.0/16 dev $d scope host table 77",
		"ip route add 2001:db8:%n%::/48 via 2001:db8::fe dev $d mtu 1300", "ip route add 2001:db8:ff::/48 dev $d proto static pref low",
		"ip -6 route add 2001:db8:21::/48 from 2001:db8:22::/48 dev $d", "ip -6 route add local 2001:db8:23::/48 dev $d",
		"ip -6 route add 2001:db8:24::/48 encap seg6 mode encap segs 2001:db8::9 dev $d", "ip -6 route add multicast ff05::/16 dev $d table local",
		"ip -6 route add 2001:db8:25::/48 dev $d expires 4000",
		"ip nexthop add id %n% via 192.0.2.254 dev $d", "ip nexthop add id 300 via 2001:db8::fe dev $d; ip nexthop add id 301 group 300; ip route add 2001:db8:30::/48 nhid 301",
		"ip nexthop add id 310 dev $d; ip nexthop add id 311 group 310 type resilient buckets 8; ip route add 10.8.0.0/16 nhid 311",
		"ip neigh add 192.0.2.%n% lladdr 02:00:00:00:00:09 dev $d", "ip neigh add proxy 192.0.2.10 dev $d",
		"ip neigh add 192.0.2.20 lladdr 02:00:00:00:00:19 nud noarp dev $d", "ip neigh add 192.0.2.21 dev $d managed",
		"ip neigh add 2001:db8::%n% lladdr 02:00:00:00:00:09 dev $d", "ip neigh add proxy 2001:db8::10 dev $d",
		"ip rule add iif $d table %n%", "ip -6 rule add oif $d table %n%",
		"ip token set ::5 dev $d",
		"ip -M route add 100 via inet 192.0.2.254 dev $d",
	}
}

// RandomDevice is a script that makes a device of a kind and with settings at
// random.
func RandomDevice(chance *rand.Rand, device string) Script {
	kinds := randomKinds()
	kind := kinds[chance.IntN(len(kinds))]
	lines := append([]string{kind.script}, some(chance, hostLinks())...)
	if kind.port && chance.IntN(4) == 0 {
		lines = append(lines, "ip link add br0 type bridge vlan_filtering %small%; ip link set br0 up; ip link set $d master br0")
		lines = append(lines, some(chance, hostPort())...)
	}
	if chance.IntN(5) > 0 {
		lines = append(lines, "ip link set $d up", "ip addr add 192.0.2.1/24 dev $d", "ip addr add 2001:db8::1/64 dev $d")
		lines = append(lines, some(chance, hostTables())...)
	}
	return Script{Device: device, Lines: filled(chance, lines)}
}

// RandomNode is a script of what else a host has that is about the device.
func RandomNode(chance *rand.Rand, device string, places ...*NS) Script {
	return Script{Device: device, Places: places, Lines: filled(chance, some(chance, nodeLines()))}
}

// nodeLines is what a host has beside a device, or on it.
func nodeLines() []string {
	return []string{
		"ip link add link $d name up2 type vlan id 7; ip link set up2 up; ip addr add 2001:db8:77::1/64 dev up2; ip route add 10.77.0.0/16 dev up2",
		"ip link add link $d name up3 type ipvlan mode l2; ip link set up3 up",
		"ip link add other1 type veth peer name otherp; ip link set other1 up; ip link set otherp up; ip addr add 198.18.0.1/24 dev other1; ip route add 198.18.1.0/24 via 198.18.0.254",
		"ip link add other2 type ifb; ip link set other2 up; ip addr add 198.18.2.1/24 dev other2; ip nexthop add id 320 via 198.18.2.2 dev other2; ip route add 10.90.0.0/16 nhid 320",
		"ip route add 10.91.0.0/16 nexthop via 192.0.2.254 dev $d nexthop via 198.18.0.254 dev other1",
		"ip -6 addr add 2001:db8:91::1/64 dev other1; ip -6 route add 2001:db8:92::/48 nexthop via 2001:db8::fe dev $d nexthop via 2001:db8:91::fe dev other1",
		"ip nexthop add id 330 via 192.0.2.254 dev $d; ip nexthop add id 331 group 320/330; ip route add 10.92.0.0/16 nhid 331",
		"tc qdisc add dev other1 clsact; tc filter add dev other1 ingress matchall action mirred egress redirect dev $d",
		"ip link add other3 type vxlan id 9 dstport 4790 local 192.0.2.1 remote 192.0.2.9", "ip link add other4 type gretap local 192.0.2.1 remote 192.0.2.9 dev $d",
		"ip xfrm policy add src 10.0.0.0/8 dst 10.0.0.0/8 dev $d dir out action allow", "ip addrlabel add prefix 2001:db8::/32 dev $d label 99",
		"bridge fdb add 02:00:00:00:00:88 dev other1", "ip maddr add 01:00:5e:00:03:01 dev other1",
		"sysctl -qw net.ipv4.conf.default.rp_filter=%small% net.ipv6.conf.default.hop_limit=%n%",
	}
}

// attacks is what a pod with NET_ADMIN does to its device.
func attacks() []string {
	return slices.Concat(attackLinks(), attackTables(), attackKinds(), attackHardware(), attackStacks())
}

func attackLinks() []string {
	return []string{
		"ip link set $d down", "ip link set $d up", "ip link set $d mtu %mtu%", "ip link set $d mtu 1000; ip link set $d mtu 1500", "ip link set $d mtu 9000",
		"ip link set $d address 02:66:66:66:66:%small%0", "ip link set $d txqueuelen %n%", "ip link set $d group %n%",
		"ip link set $d broadcast ff:ff:ff:ff:ff:00", "ip link set $d alias theirs%n%", `ip link set $d alias "$(printf 'a\nb\377%n%')"`, `ip link set $d alias ""`,
		"ip link set $d arp off", "ip link set $d arp on", "ip link set $d multicast off", "ip link set $d multicast on",
		"ip link set $d promisc on", "ip link set $d promisc off", "ip link set $d allmulticast on", "ip link set $d dynamic on", "ip link set $d dynamic off",
		"ip link set $d trailers off", "ip link set $d carrier off", "ip link set $d carrier on",
		"ip link set $d gso_max_size %big%", "ip link set $d gso_max_segs %n%", "ip link set $d gro_max_size %big%",
		"ip link set $d gso_ipv4_max_size %big%", "ip link set $d gro_ipv4_max_size %big%",
		"ip link set $d mode dormant", "ip link set $d mode default", "ip link set $d state dormant", "ip link set $d addrgenmode none", "ip link set $d addrgenmode random",
		"ip link set $d protodown on", "ip link set $d protodown off", "ip link set $d protodown on; ip link set $d protodown_reason %small% on",
		"ip link property add dev $d altname theirs%n%", "ip link property add dev $d altname far", "ip link property add dev $d altname eth1",
		"ip link property add dev $d altname $(printf 'long%0120d' %n%)", `ip link property add dev $d altname "$(printf 'odd\377 /\n%n%')"`,
		"for a in $(ip link show dev $d | sed -n 's/.*altname //p'); do ip link property del dev $d altname $a; done",
		"called theirs%n%", `called "$(printf 'x\377%n%')"`, "called all", "called default", "called eth1",
		"away $ns0", "ip link set $d netns $ns0; far $ns0 ip link set $d name theirs netns $here; d=theirs; ip link set $d up",
		"sys 0x1007 $d/flags", "sys 0x1083 $d/flags",
	}
}

func attackTables() []string {
	return []string{
		"ip addr flush dev $d", "ip addr add 10.66.0.%n%/24 dev $d", "ip addr add 192.0.2.%n%/24 dev $d", "ip addr add 2001:db8:66::%n%/64 dev $d",
		"ip addr add 169.254.66.6/16 scope link dev $d", "ip -6 addr flush dev $d", "ip addr del 192.0.2.1/24 dev $d; ip addr add 192.0.2.1/16 dev $d",
		"ip route add 10.67.0.0/16 dev $d", "ip route add 10.68.0.0/16 dev $d table %n%", "ip -6 route add 2001:db8:68::/48 dev $d", "ip route flush dev $d table all",
		"ip route add default dev $d", "ip nexthop add id 4%n% dev $d", "ip rule add iif $d table %n%", "ip rule add oif $d table %n%",
		"ip neigh add 192.0.2.1%small% lladdr 02:66:00:00:00:66 dev $d", "ip neigh replace 192.0.2.9 lladdr 02:66:00:00:00:67 dev $d nud permanent", "ip neigh add proxy 10.66.0.9 dev $d",
		"ip neigh flush dev $d nud permanent", "ip neigh add 2001:db8::66 lladdr 02:66:00:00:00:66 dev $d",
		"bridge fdb add 02:00:00:00:00:67 dev $d", "bridge fdb del 02:00:00:00:00:77 dev $d", "ip maddr add 01:00:5e:66:66:66 dev $d", "ip maddr del 01:00:5e:00:02:10 dev $d",
		"tc qdisc replace dev $d root pfifo limit 66", "tc qdisc add dev $d root handle 6: prio; tc qdisc add dev $d parent 6:1 pfifo",
		"tc qdisc add dev $d clsact; tc filter add dev $d ingress matchall action drop", "tc qdisc add dev $d ingress_block 66 clsact; tc filter add block 66 matchall action drop",
		"tc qdisc del dev $d root", "ip token set ::bad dev $d",
		"for f in /proc/sys/net/ipv?/conf/$d/* /proc/sys/net/ipv?/neigh/$d/*; do read -r v <$f && echo $((v + 1)) >$f; done",
		"echo 2001:db8::bad >/proc/sys/net/ipv6/conf/$d/stable_secret; ip link set $d addrgenmode stable_secret",
		"echo 1 >/proc/sys/net/ipv6/conf/$d/disable_ipv6", "echo 1 >/proc/sys/net/ipv4/conf/$d/forwarding", "echo 1 >/proc/sys/net/ipv6/conf/$d/forwarding",
		"ip xfrm policy add src 10.0.0.0/8 dst 10.0.0.0/8 dev $d dir out action block", "ip addrlabel add prefix 2001:db8:66::/48 dev $d label 66",
		"helper promiscuous $d", "helper packets $d", "helper route-groups $d",
	}
}

func attackKinds() []string {
	return []string{
		"ip link set $d type macvlan mode private", "ip link set $d type macvlan mode source", "ip link set $d type macvtap mode bridge", "ip link set $d type macvlan bcqueuelen %n%",
		"ip link set $d type macvlan mode passthru nopromisc", "ip link set $d type macvlan macaddr add 02:66:00:00:00:%small%0", "ip link set $d type macvlan macaddr flush",
		"ip link set $d type macvlan macaddr set 02:66:00:00:00:77", "ip link set $d type macvtap mode source; ip link set $d type macvtap macaddr add 02:66:00:00:00:01",
		"ip link set $d type macvlan bclim %small%",
		"ip link set $d type ipvlan mode l3", "ip link set $d type ipvlan mode l3s", "ip link set $d type ipvlan mode l2 vepa",
		"ip link set $d type vlan ingress-qos-map %small%:3", "ip link set $d type vlan egress-qos-map %small%:4", "ip link set $d type vlan gvrp on mvrp on loose_binding on reorder_hdr off",
		"ip link set $d type macsec encrypt off protect off", "ip link set $d type macsec replay on window %n%", "ip link set $d type macsec encodingsa 2 validate disabled",
		"ip macsec add $d tx sa %small% pn 5 on key 02 66345678901234567890123456789012", "ip macsec add $d rx port 66 address 02:66:00:00:00:66; ip macsec add $d rx port 66 address 02:66:00:00:00:66 sa 0 pn 1 on key 03 66345678901234567890123456789066",
		"ip macsec del $d rx port 9 address 02:00:00:00:00:99", "ip macsec del $d tx sa 0",
		"ip link set $d type vxlan id 5 ttl %n%", "ip link set $d type vxlan id 5 remote 10.66.66.%n%", "ip link set $d type vxlan id 5 local 10.66.66.69",
		"ip link set $d type vxlan id 5 noudpcsum nolearning proxy rsc l2miss l3miss", "ip link set $d type vxlan id 5 ageing %n% maxaddress %n%", "ip link set $d type vxlan id 5 tos 8 df set label 5",
		"ip link set $d type vxlan id 5 ttl inherit",
		"bridge fdb append 00:00:00:00:00:00 dev $d dst 10.66.66.%n%", "bridge fdb add 02:66:00:00:00:11 dev $d dst 10.66.66.66", "bridge fdb del 00:00:00:00:00:00 dev $d dst 192.0.2.9",
		"bridge fdb replace 02:00:00:00:00:11 dev $d dst 10.66.66.%n%", "bridge fdb add 02:66:00:00:00:12 dev $d dst 10.66.66.6 port %big% vni %n% src_vni 5",
		"bridge fdb show dev $d | sed 's/ self.*//' | while read -r l; do bridge fdb del $l dev $d; done", "bridge fdb add 02:66:00:00:00:13 dev $d dst 10.66.66.6 dynamic",
		"ip nexthop add id 466 via 10.66.66.66 fdb; ip nexthop add id 467 group 466 fdb; bridge fdb add 02:66:00:00:00:14 dev $d nhid 467", "bridge fdb add 02:66:00:00:00:15 dev $d dst 10.66.66.6 extern_learn",
		"bridge vni add dev $d vni 6%n%", "bridge vni delete dev $d vni 400-410", "bridge vni add dev $d vni 666 remote 10.66.66.6", "bridge mdb add dev $d port $d grp 239.6.6.6 permanent dst 10.66.66.6 src_vni 5",
		"ip link set $d type geneve id 5 remote 192.0.2.9 ttl %n%", "ip link set $d type geneve id 5 remote 10.66.66.66", "ip link set $d type geneve id 5 remote 192.0.2.9 tos 8 df set noudpcsum innerprotoinherit",
		"ip link set $d type gretap ttl %n%", "ip link set $d type gretap remote 10.66.66.66 key 66 csum seq", "ip link set $d type gretap encap fou encap-sport 66 encap-dport 67", "ip link set $d type gre remote 10.66.66.66 key 66",
		"ip link set $d type gre dev lo", "ip link set $d type ipip remote 10.66.66.66 ttl 6", "ip link set $d type ipip encap fou encap-dport 66 fwmark 6", "ip link set $d type sit 6rd-prefix 2001:db8::/32", "ip link set $d type sit remote 10.66.66.66 fwmark 66",
		"ip tunnel prl prl-default 10.66.66.66 dev $d", "ip tunnel prl prl-nodefault 10.66.66.%n% dev $d", "ip tunnel 6rd dev $d 6rd-prefix 2001:db8:6::/48",
		"ip link set $d type ip6tnl remote 2001:db8::66 encaplimit 6 flowlabel 0x66", "ip link set $d type ip6gretap remote 2001:db8::66", "ip link set $d type vti remote 10.66.66.66 key 66 fwmark 6", "ip link set $d type xfrm if_id 66",
		"wg set $d listen-port %big% fwmark 7", "wg set $d peer 6666666666666666666666666666666666666666660= remove", "wg set $d peer 6666666666666666666666666666666666666666660= endpoint 10.66.66.66:66 persistent-keepalive 6 allowed-ips 10.66.0.0/16,2001:db8::/32",
		"wg set $d peer 7777777777777777777777777777777777777777770= allowed-ips 0.0.0.0/0 endpoint 10.66.66.66:66", "wg genkey | wg set $d private-key /dev/stdin",
		"wg genpsk | wg set $d peer 6666666666666666666666666666666666666666660= preshared-key /dev/stdin",
		"helper tap-queue $d", "helper tap-header $d", "helper tap-filter $d", "helper tap-offload $d", "helper tap-size $d", "helper tap-order $d", "ip link set $d down; helper tap-type $d; ip link set $d up",
	}
}

func attackHardware() []string {
	return []string{
		"ethtool -K $d tso off gro off gso off", "ethtool -K $d tx off rx off sg off", "ethtool -K $d tx on rx on sg on tso on gso on gro on lro on", "ethtool -K $d rx-gro-list on rx-udp-gro-forwarding on tx-nocache-copy on",
		"ethtool -K $d rxvlan off txvlan off ntuple on rxhash off rx-all on rx-fcs on loopback on hw-tc-offload on", "ethtool -L $d rx %small% tx 1", "ethtool -L $d combined %small%", "ethtool -L $d rx 4 tx 4",
		"ethtool -C $d rx-usecs %n%", "ethtool -C $d tx-frames %n%", "ethtool -G $d rx 256 tx 256", "ethtool -A $d rx off tx off autoneg off", "ethtool -s $d autoneg off speed 100 duplex half", "ethtool -s $d mdix on", "ethtool -s $d wol p",
		"ethtool -s $d msglvl %small%", "ethtool -X $d equal 1", "ethtool -N $d flow-type tcp4 dst-port 80 action -1", "ethtool -N $d flow-type ether proto 0x88f7 action 1", "ethtool --set-priv-flags $d legacy-rx on", "ethtool --set-eee $d eee off",
		"ethtool --set-fec $d encoding off", "ethtool -p $d 1", "helper timestamps $d",
		"sys 1 $d/queues/rx-0/rps_cpus", "sys 2 $d/queues/rx-1/rps_cpus", "sys 2 $d/queues/tx-0/xps_cpus", "sys 1 $d/queues/tx-0/xps_rxqs", "sys 64 $d/queues/rx-0/rps_flow_cnt", "sys 66 $d/gro_flush_timeout", "sys 6 $d/napi_defer_hard_irqs", "sys 1 $d/threaded",
		"sys 66 $d/queues/tx-0/tx_maxrate", "sys 6 $d/queues/tx-0/byte_queue_limits/limit_max", "sys 6 $d/queues/tx-0/byte_queue_limits/limit_min", "sys 6 $d/queues/tx-0/byte_queue_limits/hold_time", "sys on $d/power/control", "sys 1 $d/proto_down",
	}
}

func attackStacks() []string {
	list := []string{
		"ip link add low0 type bridge; ip link set low0 up; ip link set $d master low0", "ip link add low1 type bond; ip link set $d down; ip link set $d master low1", "ip link add low2 type team; ip link set $d down; ip link set $d master low2",
		"ip link add low3 type vrf table 66; ip link set low3 up; ip link set $d master low3", "ip link set $d nomaster", "ip link add link $d name mac%n% type macvlan mode passthru; ip link set mac%n% up address 02:66:66:66:00:66",
		"ip link add link $d name v%n% type vlan id %n%; ip link add link v%n% name m%n% type macvlan; ip link set v%n% up; ip link set m%n% up netns $ns0",
		"ip link add link $d name ip%n% type ipvlan mode l3 private",
	}
	for kind, options := range map[string]string{
		"macvlan": "mode bridge", "macvtap": "mode private", "vlan": "id 66", "ipvlan": "mode l3s", "ipvtap": "mode l2", "macsec": "encrypt on", "vxlan": "id 66 dstport 4466 group 239.6.6.6",
	} {
		stack := "ip link add link $d name u%n% type " + kind + " " + options + "; ip link set u%n% up"
		if kind == "vxlan" {
			stack = "ip link add u%n% type vxlan dev $d " + options + "; ip link set u%n% up"
		}
		list = append(list, stack, stack+"; ip link set u%n% netns $ns0; far $ns0 ip link set u%n% up promisc on")
	}
	slices.Sort(list) // maps have no order, and a seed shall mean one thing
	return list
}

// RandomAttack is a script of what a hostile pod does to its device, at random, in any
// order. The first of the places is a second namespace of the pod's.
func RandomAttack(chance *rand.Rand, device string, places ...*NS) Script {
	all := attacks()
	lines := make([]string, 2+chance.IntN(30))
	for i := range lines {
		lines[i] = all[chance.IntN(len(all))]
	}
	return Script{Device: device, Places: places, Lines: filled(chance, lines)}
}

// some are lines at random, in their order.
func some(chance *rand.Rand, lines []string) (list []string) {
	for _, line := range lines {
		if chance.IntN(4) == 0 {
			list = append(list, line)
		}
	}
	return list
}

// filled has values in place of what is between %.
func filled(chance *rand.Rand, lines []string) []string {
	list := make([]string, len(lines))
	for i, line := range lines {
		values := map[string]int{
			"%mtu%": 1280 + chance.IntN(220), "%n%": 1 + chance.IntN(250), "%small%": chance.IntN(3), "%big%": 20000 + chance.IntN(40000),
		}
		for _, name := range slices.Sorted(maps.Keys(values)) {
			line = strings.ReplaceAll(line, name, strconv.Itoa(values[name]))
		}
		list[i] = line
	}
	return list
}

// Run runs the script in the namespace, and returns what it prints. What its helpers hold
// they hold until end is called, or the test ends.
func (s Script) Run(t testing.TB, ns *NS) (out string, end func()) {
	t.Helper()
	cmd, end := helped(t, ns.Command("sh", "-c", s.String()))
	text, _ := cmd.CombinedOutput() // the error is its last line's
	return string(text), end
}

// Try is Run for a script that ends by itself when a line fails.
func (s Script) Try(t testing.TB, ns *NS) error {
	t.Helper()
	cmd, _ := helped(t, ns.Command("sh", "-c", s.String()))
	return cmd.Run()
}
