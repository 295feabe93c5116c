package kernel_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Routes and nexthop objects of every form come back, also those of which the kernel tells
// less than it wants to be told.
func TestReturnRoutesOfEveryForm(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, `
		set -e
		ip link set eth1 up
		ip addr add 192.0.2.1/24 dev eth1
		ip addr add 2001:db8::1/64 dev eth1 nodad
		ip nexthop add id 1 via 192.0.2.7 dev eth1 onlink
		ip nexthop add id 2 via 192.0.2.8 dev eth1 encap ip id 5 dst 10.0.0.9
		ip nexthop add id 3 group 1,2
		ip nexthop add id 4 group 1,7/2,3 type resilient buckets 8 idle_timer 60
		ip route add 10.1.0.0/16 nexthop via 192.0.2.7 dev eth1 weight 3 onlink nexthop via 192.0.99.8 dev eth1 onlink
		ip route add 10.2.0.0/16 dev eth1 encap ip id 5 dst 10.0.0.9
		ip route add 10.3.0.0/16 nhid 4
		ip route add 10.4.0.0/16 dev eth1 realm 3 congctl reno initcwnd 20 quickack 1 features ecn
		ip route add 10.5.0.0/16 dev eth1 tos 0x10
		ip route add multicast 224.5.0.0/16 dev eth1
		ip route add local 10.6.0.0/16 dev eth1
		ip route add broadcast 10.7.0.0/16 dev eth1
		ip -6 route add 2001:db8:1::/64 via 2001:db8::fe expires 1000
		ip -6 route add 2001:db8:2::/64 encap seg6 mode encap segs fc00::1 dev eth1
		ip -6 route add 2001:db8:3::/64 from 2001:db8:1::/64 via 2001:db8::fe
		ip -6 route add 2001:db8:4::/64 via 2001:db8::fe hoplimit 5 mtu lock 1400
		ip -6 route add anycast 2001:db8::77 dev eth1
		ip -6 route add local 2001:db8::78 dev eth1`)
	show := func() string {
		all := n.host.IP(t, "-d -4 route show table all") + n.host.IP(t, "-d -6 route show table all") + n.host.IP(t, "-d nexthop show")
		return regexp.MustCompile(`expires \d+sec`).ReplaceAllString(all, "expires")
	}
	before := n.host.Settled(t, "eth1")
	all := show()
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
	sameText(t, "routes", all, show())
	_, left, _ := strings.Cut(n.host.IP(t, "-6 route show 2001:db8:1::/64"), "expires ")
	if seconds, err := strconv.Atoi(strings.Split(left, "sec")[0]); err != nil || seconds > 1000 {
		t.Errorf("%d seconds are left, %v", seconds, err)
	}
}

// A route whose time is over while the device is away is not missed.
func TestReturnRouteOfThePast(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, `
		ip link set eth1 up
		ip addr add 2001:db8::1/64 dev eth1 nodad
		ip -6 route add 2001:db8:1::/64 via 2001:db8::fe expires 1000`)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	for i := range plan[0].Before.Entries {
		plan[0].Before.Entries[i].Until = min(plan[0].Before.Entries[i].Until, 1)
	}
	n.giveBack(t, plan)
	if left := n.host.IP(t, "-6 route show 2001:db8:1::/64"); left != "" {
		t.Errorf("there is %s", left)
	}
}
