package kernel_test

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What a pod makes of the tables that travel with a vxlan is undone: what it added goes, what
// it took away is there again, one remote after the other.
func TestReturnVXLAN(t *testing.T) {
	t.Parallel()
	const host = `
		ip link add vx0 type vxlan id 5 dstport 4789 OPTIONS
		bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.0.0.2
		bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.0.0.3 port 4790 vni 7
		bridge fdb append 01:00:5e:00:00:01 dev vx0 dst 10.0.0.2
		bridge fdb append 01:00:5e:00:00:01 dev vx0 dst 10.0.0.3
		bridge fdb add 02:00:00:00:00:11 dev vx0 dst 10.0.0.2
		bridge fdb add 02:00:00:00:00:12 dev vx0 dst 10.0.0.2 via lo
		bridge fdb add 02:00:00:00:00:13 dev vx0 dst 10.0.0.2 static router extern_learn
		bridge fdb add 02:00:00:00:00:14 dev vx0 dst 0.0.0.0`
	for name, tt := range map[string]struct{ options, pod string }{
		"added": {"", `
			bridge fdb append 00:00:00:00:00:00 dev net1 dst 10.66.66.66
			bridge fdb append 00:00:00:00:00:00 dev net1 dst 10.0.0.3 port 4790
			bridge fdb append 01:00:5e:00:00:01 dev net1 dst 10.66.66.66
			bridge fdb append 01:00:5e:00:00:66 dev net1 dst 10.66.66.66
			bridge fdb add 02:66:00:00:00:11 dev net1 dst 10.66.66.66
			bridge fdb add 02:66:00:00:00:12 dev net1 dst 10.66.66.66 static extern_learn`},
		"taken away": {"", `
			bridge fdb del 00:00:00:00:00:00 dev net1
			bridge fdb del 01:00:5e:00:00:01 dev net1 dst 10.0.0.2
			for i in 11 12 13 14; do bridge fdb del 02:00:00:00:00:$i dev net1; done`},
		"changed": {"", `
			bridge fdb append 00:00:00:00:00:00 dev net1 dst 10.0.0.2 static
			bridge fdb replace 02:00:00:00:00:11 dev net1 dst 10.66.66.66
			bridge fdb replace 02:00:00:00:00:12 dev net1 dst 10.0.0.2
			bridge fdb replace 02:00:00:00:00:13 dev net1 dst 10.0.0.2`},
		"an interface of the pod's": {"", `
			ip link add name x0 index 4711 type ifb
			bridge fdb append 00:00:00:00:00:00 dev net1 dst 10.66.66.66 via x0
			bridge fdb add 02:66:00:00:00:11 dev net1 dst 10.66.66.66 via x0`},
		"a remote and a local address added": {"", `
			ip link set net1 type vxlan id 5 remote 10.66.66.68
			ip link set net1 type vxlan id 5 local 10.66.66.69
			bridge fdb append 00:00:00:00:00:00 dev net1 dst 10.66.66.66`},
		"the remote's entry taken away": {"remote 10.0.0.9", `
			bridge fdb del 00:00:00:00:00:00 dev net1 dst 10.0.0.9`},
		"the remote changed": {"remote 10.0.0.9", `
			ip link set net1 type vxlan id 5 remote 10.66.66.66`},
		"the remote changed, and its entry taken away": {"remote 10.0.0.9", `
			ip link set net1 type vxlan id 5 remote 10.66.66.66
			bridge fdb del 00:00:00:00:00:00 dev net1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.Shell(t, "set -e"+strings.ReplaceAll(host, "OPTIONS", tt.options))
			n.host.IP(t, "link set vx0 up")
			n.returnsFrom(t, "vx0", tt.pod)
		})
	}
}

// So is that of a vxlan of IPv6, and of one that goes by nexthop objects.
func TestReturnOtherVXLANs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.Shell(t, `
		set -e
		ip link add vx0 type vxlan id 5 dstport 4789 local 2001:db8::5
		bridge fdb append 00:00:00:00:00:00 dev vx0 dst 2001:db8::2
		bridge fdb add 02:00:00:00:00:11 dev vx0 dst 2001:db8::3
		bridge fdb add 02:00:00:00:00:12 dev vx0 dst ::
		ip nexthop add id 1 via 2001:db8::7 fdb
		ip nexthop add id 2 via 2001:db8::8 fdb
		ip nexthop add id 3 group 1/2 fdb
		bridge fdb add 02:00:00:00:00:13 dev vx0 nhid 3
		bridge fdb add 02:00:00:00:00:14 dev vx0 nhid 3
		ip link set vx0 up`)
	n.returnsFrom(t, "vx0", `
		bridge fdb append 00:00:00:00:00:00 dev net1 dst 2001:db8::66
		for i in 11 12 13; do bridge fdb del 02:00:00:00:00:$i dev net1; done
		bridge fdb add 02:66:00:00:00:11 dev net1 nhid 3`)
}

// What a device of the host's that is built on a vxlan listens to is none of its entries.
func TestReturnVXLANBelow(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.Shell(t, `
		set -e
		ip link add vx0 type vxlan id 5 dstport 4789
		bridge fdb append 01:00:5e:00:00:01 dev vx0 dst 10.0.0.2
		ip link set vx0 up
		ip link add mac0 link vx0 type macvlan
		ip link set mac0 up
		ip addr add 192.0.2.1/24 dev mac0`)
	before := n.host.Settled(t, "mac0")
	n.giveBack(t, n.attach(t, netmove.Request{Device: "vx0", PodName: "net1"}))
	n.host.SameDump(t, "mac0", before)
}

// A vxlan may take several VNIs.
func TestReturnVNIs(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.Shell(t, `
		set -e
		ip link add vx0 type vxlan external vnifilter dstport 4790
		bridge vni add vni 100-110 dev vx0
		bridge vni add vni 120 remote 10.0.0.2 dev vx0
		bridge vni add vni 121 remote 10.0.0.2 dev vx0
		bridge vni add vni 130 remote 10.0.0.3 dev vx0
		bridge fdb add 02:00:00:00:00:11 dev vx0 dst 10.0.0.2 src_vni 100
		bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.0.0.4 src_vni 130
		ip link set vx0 up`)
	n.returnsFrom(t, "vx0", `
		bridge vni add vni 111 dev net1
		bridge vni add vni 66 remote 10.66.66.66 dev net1
		bridge vni add vni 121 remote 10.66.66.66 dev net1
		bridge vni delete vni 130 dev net1
		bridge vni delete vni 104 dev net1
		bridge fdb add 02:00:00:00:00:66 dev net1 dst 10.66.66.66 src_vni 66
		bridge fdb del 02:00:00:00:00:11 dev net1 src_vni 100`)
}

// returnsFrom gives the device to a pod, which calls it net1 and runs a script, and takes it
// back.
func (n *node) returnsFrom(t *testing.T, dev, script string) {
	t.Helper()
	before := n.host.Settled(t, dev)
	plan := n.attach(t, netmove.Request{Device: dev, PodName: "net1"})
	was := n.pod.Dump(t, "net1")
	n.pod.Shell(t, "set -e\n"+script)
	if n.pod.Dump(t, "net1") == was {
		t.Fatal("the pod's work is not in the dump")
	}
	n.giveBack(t, plan)
	n.host.SameDump(t, dev, before)
}
