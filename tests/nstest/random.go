package nstest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// randomKind is a kind of device that RandomDevice makes.
type randomKind struct {
	script string
	port   bool // a bridge takes it, as it is made here
}

// randomKinds are those that every kernel has, and in the virtual machine more.
func randomKinds() []randomKind {
	const low = "ip link add low type veth peer name far; ip link set low up; ip link set far up; ip link add link low name $d type "
	kinds := []randomKind{
		{"ip link add $d numtxqueues 4 numrxqueues 4 type veth peer name far; ip link set far up", true},
		{"ip link add $d type ifb", true},
		{low + "macvlan mode bridge", false},
		{low + "macvtap mode vepa", false},
		{"ip link add $d type vxlan id 5 dstport 4789 remote 192.0.2.9 ttl 7", true},
		{"ip tuntap add $d mode tap user 7", false},
		{"ip tuntap add $d mode tun", false},
	}
	if os.Getenv("NRI_NETDEV_VM") == "" {
		return kinds
	}
	return append(kinds, []randomKind{
		{"ip link add $d type dummy", true},
		{low + "vlan id 5 ingress-qos-map 1:2", true},
		{low + "ipvlan mode l2", false},
		{low + "macsec port 7 encrypt on", false},
		{"ip link add $d type geneve id 5 remote 192.0.2.9", true},
		{"ip link add $d type gretap remote 192.0.2.9 local 192.0.2.8", true},
		{"ip link add $d type sit remote 192.0.2.9 local 192.0.2.8", false},
		{"ip link add $d type wireguard; wg set $d listen-port 5555 peer 6666666666666666666666666666666666666666660= allowed-ips 10.9.0.0/24", false},
	}...)
}

// RandomDevice is a script that makes a device of a kind and with settings at
// random.
func RandomDevice(chance *rand.Rand, dev string) string {
	kinds := randomKinds()
	kind := kinds[chance.IntN(len(kinds))]
	script := kind.script + "\n" + some(chance, []string{
		"ip link set $d mtu %mtu%", "ip link set $d txqueuelen %n%", "ip link set $d group %n%", "ip link set $d alias rack%n%",
		"ip link set $d promisc on", "ip link set $d allmulticast on", "ip link set $d multicast off",
		"ip link property add dev $d altname alt%n%", "ip link set $d gso_max_size %big%", "ip link set $d gro_max_size %big%",
		"ip link set $d addrgenmode eui64", "ethtool -K $d gro on", "ethtool -K $d tso off", "ethtool -L $d rx 2 tx 2",
		"ip link set $d addrgenmode random",
		"sysctl -qw net.ipv4.conf.$d.arp_ignore=%small%", "sysctl -qw net.ipv4.conf.$d.rp_filter=%small%",
		"sysctl -qw net.ipv6.conf.$d.accept_ra=%small%", "sysctl -qw net.ipv6.conf.$d.hop_limit=%n%",
		"sysctl -qw net.ipv6.conf.$d.disable_ipv6=0", "sysctl -qw net.ipv4.neigh.$d.retrans_time_ms=%big%",
		"sysctl -qw net.ipv6.neigh.$d.proxy_qlen=%n%", "tc qdisc add dev $d root pfifo limit %n%",
	})
	if kind.port && chance.IntN(4) == 0 {
		script += "ip link add br0 type bridge; ip link set br0 up; ip link set $d master br0\n" +
			some(chance, []string{"bridge link set dev $d cost %n%", "bridge link set dev $d learning off", "bridge link set dev $d isolated on"})
	}
	if chance.IntN(5) > 0 {
		script += "ip link set $d up\nip addr add 192.0.2.1/24 dev $d\nip addr add 2001:db8::1/64 dev $d\n" + some(chance, []string{
			"ip addr add 192.0.2.2/24 dev $d label $d:x", "ip addr add 192.0.2.77 peer 198.51.100.%n% dev $d",
			"ip addr add 169.254.7.7/16 scope link dev $d", "ip addr add 203.0.113.1/24 brd + metric %n% dev $d",
			"ip addr add 2001:db8:1::%n%/64 metric %n% dev $d", "ip addr add 2001:db8:2::1/64 noprefixroute dev $d",
			"ip addr add 203.0.113.200/25 valid_lft 4000 preferred_lft 3000 dev $d",
			"ip route add 10.%n%.0.0/16 via 192.0.2.254 dev $d metric %n%", "ip route add 10.1.%n%.0/24 dev $d table %n%",
			"ip route add 10.2.0.0/16 nexthop via 192.0.2.254 dev $d weight 2 nexthop via 192.0.2.253 dev $d",
			"ip route add 2001:db8:%n%::/48 via 2001:db8::fe dev $d mtu 1300", "ip route add 2001:db8:ff::/48 dev $d proto static pref low",
			"ip nexthop add id %n% via 192.0.2.254 dev $d", "ip nexthop add id 300 via 2001:db8::fe dev $d; ip nexthop add id 301 group 300; ip route add 2001:db8:30::/48 nhid 301",
			"ip neigh add 192.0.2.%n% lladdr 02:00:00:00:00:09 dev $d", "ip neigh add proxy 192.0.2.10 dev $d",
			"ip neigh add 2001:db8::%n% lladdr 02:00:00:00:00:09 dev $d", "ip neigh add proxy 2001:db8::10 dev $d",
			"bridge fdb add 02:00:00:00:00:77 dev $d", "ip rule add iif $d table %n%",
		})
	}
	// tun has no link-layer address, and some kinds lack one thing or the other.
	return "set +e\n" + strings.ReplaceAll(script, "$d", dev) + "exec 2>&1; ip link show " + dev + "\n"
}

// RandomAttack is a script of what a hostile pod does to its device, at random. What
// the kernel refuses, it refuses.
func RandomAttack(chance *rand.Rand, dev string) string {
	return strings.ReplaceAll(some(chance, []string{
		"ip addr flush dev $d", "ip link set $d down", "ip link set $d mtu %mtu%", "ip link set $d mtu 1000; ip link set $d mtu 1500",
		"ip link set $d address 02:66:66:66:66:%small%0", "ip link set $d txqueuelen %n%", "ip link set $d group %n%",
		"ip link set $d alias theirs%n%", "ip link set $d arp off", "ip link set $d multicast off", "ip link set $d promisc on",
		"ip link set $d allmulticast on", "ip link set $d gso_max_size %big%", "ip link set $d gso_max_segs %n%",
		"ip link set $d gro_max_size %big%", "ip link set $d mode dormant", "ip link set $d addrgenmode none",
		"ip link property add dev $d altname theirs%n%", "ip token set ::bad dev $d", "ip route add 10.67.0.0/16 dev $d",
		"ethtool -K $d tso off gro off gso off", "ethtool -K $d tx off rx off sg off", "ethtool -L $d rx %small% tx 1", "ethtool -C $d rx-usecs %n%",
		"ethtool -s $d autoneg off speed 100 duplex half", "ethtool -s $d msglvl %small%",
		"ip link set $d type ipvlan mode l3", "ip link set $d type macsec encrypt off protect off", "ip link set $d type vlan ingress-qos-map 1:3",
		"ip link set $d type geneve ttl %n%", "ip link set $d type gretap ttl %n%", "wg set $d listen-port %big% fwmark 7 peer 6666666666666666666666666666666666666666660= remove",
		"bridge fdb add 02:00:00:00:00:67 dev $d", "ip link set $d type macvlan mode private", "ip link set $d type macvtap mode bridge",
		"ip link set $d type vxlan ttl %n%", "ip link set $d type macvlan bcqueuelen %n%",
		"for f in /proc/sys/net/ipv?/conf/$d/* /proc/sys/net/ipv?/neigh/$d/*; do read -r v <$f && echo $((v + 1)) >$f; done",
		"ip link add low0 type bridge; ip link set $d master low0", "ip link add link $d name up0 type macvlan; ip link set up0 up",
		"ip link set $d down; ip link set $d name theirs; ip link set theirs up",
	}), "$d", dev)
}

// some is lines of a script at random, in their order, with values for what is
// between %.
func some(chance *rand.Rand, lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		if chance.IntN(3) > 0 {
			continue
		}
		for name, value := range map[string]int{
			"%mtu%": 1280 + chance.IntN(220), "%n%": 1 + chance.IntN(250), "%small%": chance.IntN(3), "%big%": 20000 + chance.IntN(40000),
		} {
			line = strings.ReplaceAll(line, name, strconv.Itoa(value))
		}
		fmt.Fprintln(&b, line)
	}
	return b.String()
}
