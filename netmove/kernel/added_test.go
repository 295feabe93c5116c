package kernel_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// changed is what happens to a device, in lines of scripts, after which it shall be what
// it was.
type changed struct {
	name   string
	host   []string // makes the device, $d, and what there is about it
	attack []string // of the pod, which has it as $d, and another namespace, $ns0

	// told are the differences of a device that the kernel does not make again what it was;
	// there is no other then.
	told []string
}

// What hosts have for a device that is up, as most rows start.
const (
	vethPair = "ip link add $d numtxqueues 4 numrxqueues 4 type veth peer name far; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; ip link set far up"
	onLow    = "ip link add low type veth peer name far; ip link set low up; sysctl -qw net.ipv6.conf.far.disable_ipv6=1; ip link set far up; ip link add link low name $d type "
	up       = "ip link set $d up; ip addr add 192.0.2.1/24 dev $d; ip addr add 2001:db8::1/64 dev $d"
)

func (c changed) test(t *testing.T) {
	t.Parallel()
	h := history{device: c.host, attack: c.attack}
	if !h.possible(t) {
		nstest.Unavailable(t, "kinds", c.name+": the kernel does not have it")
	}
	if len(c.told) > 0 {
		c.tells(t, h.play(t, time.Second))
	} else if wrong := h.play(t, time.Minute); wrong != "" {
		t.Errorf("%s\n%s", h, wrong)
	}
}

// tells makes sure that those differences are told, and no other.
func (c changed) tells(t *testing.T, wrong string) {
	t.Helper()
	if n := strings.Count(wrong, `device "eth1": `); n != len(c.told) {
		t.Errorf("%d differences are told, want %d", n, len(c.told))
	}
	for _, text := range c.told {
		if !strings.Contains(wrong, text) {
			t.Errorf("%q is not told", text)
		}
	}
	if t.Failed() {
		t.Log(wrong)
	}
}

// possible reports whether this kernel does all of that.
func (h history) possible(t *testing.T) bool {
	t.Helper()
	ns, nested := nstest.New(t), nstest.New(t)
	script := nstest.Script{Device: "net1", Places: []*nstest.NS{nested}, Lines: []string{"set -e"}}
	for _, lines := range [][]string{h.device, h.attack} {
		script.Lines = append(script.Lines, lines...)
	}
	return script.Try(t, ns) == nil
}

// What a pod adds to a device, or makes of what others have below it, is gone when the
// device is home, or the device is refused.
func TestWhatAPodAdded(t *testing.T) {
	t.Parallel()
	for _, c := range []changed{
		// Flags that are not in LinkFlags.
		{"IFF_DYNAMIC", []string{vethPair, up}, []string{"ip link set $d dynamic on"}, nil},
		{"IFF_NOTRAILERS", []string{vethPair, up}, []string{"ip link set $d trailers off"}, nil},
		{"IFF_DEBUG", []string{vethPair, up}, []string{"sys 0x1007 $d/flags"}, nil},

		// What a device without a carrier of its own keeps: IPv6 waits for it for good.
		{"operstate dormant", []string{"ip link add $d type ifb", up}, []string{"ip link set $d state dormant"}, nil},
		{"carrier off", []string{"ip link add $d type dummy", up}, []string{"ip link set $d carrier off"}, nil},

		// What a macvlan makes of the device below it, which is the host's.
		{"allmulticast of passthru", []string{onLow + "macvlan mode passthru", up}, []string{"ip link set $d allmulticast on"}, nil},
		{"port of a bridge as passthru", []string{onLow + "macvlan mode passthru", up}, []string{"ip link add br9 type bridge; ip link set $d master br9"}, nil},
		{"multicast routing on passthru", []string{onLow + "macvlan mode passthru", up}, []string{"helper route-groups $d"}, nil},
		{"nopromisc of passthru", []string{onLow + "macvlan mode passthru", up}, []string{"ip link set $d type macvlan mode passthru nopromisc"}, nil},
		{"macvlan beside a macvlan", []string{onLow + "macvlan mode bridge", up}, []string{"ip link add link $d name up9 type macvlan; ip link set up9 netns $ns0; far $ns0 ip link set up9 up promisc on"}, nil},
		{"ipvlan beside an ipvlan", []string{onLow + "ipvlan mode l2", up}, []string{"ip link add link $d name up9 type ipvlan; ip link set up9 netns $ns0; far $ns0 ip link set up9 up"}, nil},

		// What whoever attaches to a tap tells it.
		{"header of a tap", []string{"ip tuntap add $d mode tap vnet_hdr"}, []string{"helper tap-header $d"}, nil},
		{"header of a tun", []string{"ip tuntap add $d mode tun"}, []string{"helper tap-header $d"}, nil},
		{"offload of a tap", []string{"ip tuntap add $d mode tap"}, []string{"helper tap-offload $d"}, nil},
		{"filter of a tap", []string{"ip tuntap add $d mode tap"}, []string{"helper tap-filter $d"}, nil},
		{"filter of a tap with PI", []string{"ip tuntap add $d mode tap pi"}, []string{"helper tap-filter $d"}, nil},
		{"offload of a tun", []string{"ip tuntap add $d mode tun", up}, []string{"helper tap-offload $d"}, nil},
		{"size of the header of a tap", []string{"ip tuntap add $d mode tap vnet_hdr"}, []string{"helper tap-size $d"}, nil},
		{"byte order of a tap", []string{"ip tuntap add $d mode tap vnet_hdr"}, []string{"helper tap-order $d"}, nil},
		{"link type of a tap", []string{"ip tuntap add $d mode tap"}, []string{"ip link set $d down; helper tap-type $d; ip link set $d up"}, nil},
		{"link type of a tun", []string{"ip tuntap add $d mode tun", up}, []string{"ip link set $d down; helper tap-type $d; ip link set $d up"}, nil},
		{"queue of a tap", []string{"ip tuntap add $d mode tap", up}, []string{"helper tap-queue $d"}, nil},
		{"queue of a tap with several", []string{"ip tuntap add $d mode tap multi_queue", up}, []string{"helper tap-queue $d; helper tap-queue $d"}, nil},
		{"no speed of a tap", []string{"ip tuntap add $d mode tap"}, []string{"ethtool -s $d speed 4294967295 duplex full"}, nil},
		{"speed of a tap", []string{"ip tuntap add $d mode tap"}, []string{"ethtool -s $d speed 100 duplex half"}, nil},
		{"MDI-X of a tap", []string{"ip tuntap add $d mode tap"}, []string{"ethtool -s $d mdix on"}, nil},

		// Options that a kind can be given, and that are not told where there are none.
		{
			"lower device of a vxlan",
			[]string{"ip link add $d type vxlan id 5 dstport 4789", up},
			[]string{"ip link set $d type vxlan id 5 dev lo"},
			[]string{"unset option vxlan.3"},
		},
		{
			"smaller device below a vxlan",
			[]string{"ip link set lo mtu 1400; ip link add $d type vxlan id 5 dstport 4789", up},
			[]string{"ip link set lo mtu 1400; ip link set $d type vxlan id 5 dev lo; ip link set $d mtu 1280"},
			[]string{"unset option vxlan.3", "set MTU 1500: mtu 1500 is more than the 1350 that the device below, \"lo\", allows", "set sysctl ipv6/conf/mtu"},
		},
		{"VNI of a vxlan", []string{"ip link add $d type vxlan dstport 4789 external vnifilter", up}, []string{"bridge vni add dev $d vni 666"}, nil},
		{"VNI with a remote", []string{"ip link add $d type vxlan dstport 4789 external vnifilter", up}, []string{"bridge vni add dev $d vni 666 remote 10.66.66.6"}, nil},
		{"learned entry of a vxlan", []string{"ip link add $d type vxlan id 5 dstport 4789", up}, []string{"bridge fdb add 02:66:00:00:00:15 dev $d dst 10.66.66.6 extern_learn"}, nil},
		{"dynamic entry of a vxlan", []string{"ip link add $d type vxlan id 5 dstport 4789", up}, []string{"ip link set $d down; bridge fdb add 02:66:00:00:00:13 dev $d dst 10.66.66.6 dynamic"}, nil},
		{"second flood entry", []string{"ip link add $d type vxlan id 5 dstport 4789 remote 192.0.2.9", up}, []string{"bridge fdb append 00:00:00:00:00:00 dev $d dst 10.66.66.5"}, nil},
		{"QoS map of a VLAN, in", []string{onLow + "vlan id 5 ingress-qos-map 1:2", up}, []string{"ip link set $d type vlan ingress-qos-map 2:3"}, nil},
		{"QoS map of a VLAN, out", []string{onLow + "vlan id 5 egress-qos-map 1:2", up}, []string{"ip link set $d type vlan egress-qos-map 2:4"}, nil},
		{"routers of an ISATAP tunnel", []string{"ip link add $d type sit local 192.0.2.8 isatap", up}, []string{"ip tunnel prl prl-default 10.66.66.66 dev $d"}, nil},
		{"channel of a macsec", []string{onLow + "macsec encrypt on", up}, []string{"ip macsec add $d rx port 66 address 02:66:00:00:00:66"}, nil},
		{"key of a macsec", []string{onLow + "macsec encrypt on", up}, []string{"ip macsec add $d tx sa 1 pn 5 on key 02 66345678901234567890123456789012"}, nil},

		// Attributes of queues.
		{"RPS", []string{vethPair, up}, []string{"sys 1 $d/queues/rx-0/rps_cpus"}, nil},
		{"RFS", []string{vethPair, up}, []string{"sys 64 $d/queues/rx-1/rps_flow_cnt"}, nil},
		{"XPS by receive queue", []string{vethPair, up}, []string{"sys 1 $d/queues/tx-0/xps_rxqs"}, nil},
		{"byte queue limits", []string{"ip link add $d type ifb", up}, []string{"sys 6 $d/queues/tx-0/byte_queue_limits/limit_max"}, nil},
		{"RPS of a queue that goes", []string{vethPair, "sys 1 $d/queues/rx-3/rps_cpus", up}, []string{"ethtool -L $d rx 1"}, nil},
		{"runtime power management", []string{vethPair, up}, []string{"sys on $d/power/control"}, nil},
	} {
		t.Run(c.name, c.test)
	}
}

// What a host has is there when the device is home, whatever became of it in between, or
// the device is refused.
func TestWhatAHostHad(t *testing.T) {
	t.Parallel()
	for _, c := range []changed{
		{"IFF_DYNAMIC", []string{vethPair, "ip link set $d dynamic on", up}, []string{"ip link set $d dynamic off"}, nil},
		{"dynamic entry of a vxlan", []string{"ip link add $d type vxlan id 5 dstport 4789; bridge fdb add 02:00:00:00:00:13 dev $d dst 192.0.2.9 dynamic"}, []string{"ip link set $d up"}, nil},
		{"overhead of a qdisc", []string{vethPair, up, "tc qdisc add dev $d root stab overhead 5 pfifo limit 50"}, nil, nil},
		{"neighbor NOARP", []string{vethPair, up, "ip neigh add 192.0.2.20 lladdr 02:00:00:00:00:19 nud noarp dev $d"}, nil, nil},
		{"proxies without a carrier", []string{"ip tuntap add $d mode tap", up, "ip neigh add proxy 192.0.2.10 dev $d; ip neigh add proxy 2001:db8::10 dev $d"}, nil, nil},
		{"neighbor managed", []string{vethPair, up, "ip neigh add 192.0.2.21 dev $d managed"}, nil, nil},
		{"route appended", []string{vethPair, up, "ip route add 10.2.0.0/16 via 192.0.2.254 dev $d", "ip route append 10.2.0.0/16 via 192.0.2.253 dev $d"}, nil, nil},
		{"entry of a group database", []string{vethPair, up, "ip link add br0 type bridge; ip link set br0 up; ip link set $d master br0", "bridge mdb add dev br0 port $d grp 239.1.1.5 permanent"}, nil, nil},
		{"resilient group", []string{vethPair, up, "ip nexthop add id 310 dev $d; ip nexthop add id 311 group 310 type resilient buckets 8; ip route add 10.8.0.0/16 nhid 311"}, nil, nil},
		{"MAC of a bond", []string{"ip link add bond0 type bond mode active-backup; ip link set bond0 address 02:00:00:00:b0:4d; " + vethPair + "; ip link set $d master bond0; ip link set bond0 up"}, nil, nil},
		{"VNI of a vxlan", []string{"ip link add $d type vxlan dstport 4789 external vnifilter", up, "bridge vni add dev $d vni 400-410"}, []string{"bridge vni delete dev $d vni 400-410"}, nil},
	} {
		t.Run(c.name, c.test)
	}
}

// What other devices of a host have they have while a pod has this one, too, or the
// device is refused.
func TestWhatOthersKeep(t *testing.T) {
	t.Parallel()
	const other = "ip link add other1 type veth peer name otherp; ip link set otherp up; ip link set other1 up; ip addr add 198.18.0.1/24 dev other1"
	for _, c := range []struct {
		name string
		host []string
		show string // what others have
	}{
		{"route with a leg through it", []string{"ip route add 10.91.0.0/16 nexthop via 192.0.2.254 dev $d nexthop via 198.18.0.254 dev other1"}, "ip route get 10.91.0.1"},
		{"route with its address as source", []string{"ip route add 10.92.0.0/16 via 198.18.0.254 src 192.0.2.1"}, "ip route get 10.92.0.1"},
		{"group with another nexthop", []string{"ip nexthop add id 1 via 192.0.2.254 dev $d; ip nexthop add id 2 via 198.18.0.254 dev other1; ip nexthop add id 3 group 1/2; ip route add 10.93.0.0/16 nhid 3"}, "ip route get 10.93.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.Shell(t, nstest.Script{Device: "eth1", Lines: append([]string{"set -e", vethPair, up, other}, c.host...)}.String())
			n.host.Shell(t, c.show)
			snapshot, err := netmove.Read(n.hostNS, "eth1")
			if err != nil {
				t.Fatal(err)
			}
			if len(snapshot.Loss) > 0 {
				return
			}
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			if out, err := n.host.Command("sh", "-c", c.show).CombinedOutput(); err != nil {
				t.Errorf("while the pod has it: %s: %v: %s", c.show, err, out)
			}
			n.giveBack(t, plan)
			n.host.Shell(t, c.show)
		})
	}
}

// What a pod tells the hardware is undone, as far as the driver does what it is told.
func TestPhysicalAdded(t *testing.T) {
	for _, dev := range []string{firstNIC, thirdNIC, fourthNIC} {
		for name, attack := range map[string][]string{
			"link": {
				"ethtool -s $d mdix on", "ethtool -s $d wol g", "ethtool -s $d autoneg off speed 100 duplex full",
				"ethtool -A $d autoneg off rx off tx off", "ethtool --set-eee $d eee off", "helper timestamps $d",
			},
			"what is received": {
				"ethtool -K $d ntuple on; ethtool -N $d flow-type ether proto 0x88f7 action 0", "ethtool -X $d equal 1",
				"ethtool -X $d hkey 6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa",
				"ethtool -K $d rx-all on rx-fcs on", "bridge fdb add 02:66:66:66:66:67 dev $d",
				"ip link set $d promisc on; ip link add link $d name v9 type vlan id 9; ip link set v9 up netns $ns0",
			},
			"queues": {
				"ethtool -s $d mdix off", "ethtool --set-priv-flags $d legacy-rx on", "ethtool -L $d combined 1", "ethtool -G $d rx 128 tx 128",
				"ethtool -C $d rx-usecs 77", "ethtool --per-queue $d queue_mask 0x1 --coalesce rx-usecs 77", "ip link set $d vf 0 mac 02:66:66:66:66:66 vlan 6 spoofchk off",
				"sys 1 $d/queues/rx-0/rps_cpus", "sys 6 $d/queues/tx-0/byte_queue_limits/limit_max", "sys 3 $d/queues/tx-0/xps_cpus", "sys 6 $d/threaded",
			},
		} {
			t.Run(dev+"/"+name, func(t *testing.T) {
				n, _ := newMachine(t)
				n.dress(t, dev)
				before := n.host.Settled(t, dev)
				plan := n.attach(t, netmove.Request{Device: dev, PodName: "net1"})
				nstest.Script{Device: "net1", Places: []*nstest.NS{nstest.New(t)}, Lines: attack}.Run(t, n.pod)
				n.giveBack(t, plan)
				n.host.SameDump(t, dev, before)
			})
		}
	}
}
