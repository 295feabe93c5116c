package kernel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Routes of the same prefix and metric come back in their order, and beside those of other
// devices.
func TestReturnRoutesBesideOthers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	n.host.Shell(t, `
		set -e
		for i in 1 2; do
			ip link set eth$i up
			ip addr add 192.0.$i.1/24 dev eth$i
			ip addr add 2001:db8:$i::1/64 dev eth$i
		done
		ip route append 10.1.0.0/16 via 192.0.1.254 dev eth1
		ip route append 10.1.0.0/16 via 192.0.1.253 dev eth1
		ip route append 10.1.0.0/16 via 192.0.1.252 dev eth1
		ip route append 10.2.0.0/16 dev eth2
		ip route append 10.2.0.0/16 dev eth1
		ip route append 10.3.0.0/16 dev eth1
		ip route append 10.3.0.0/16 dev eth2
		ip route append 10.4.0.0/16 via 192.0.1.254 dev eth1
		ip route append 10.4.0.0/16 dev eth1
		ip route append 10.5.0.0/16 dev eth1 table 100
		ip route append 10.5.0.0/16 via 192.0.2.254 dev eth2 table 100
		ip route append 192.0.1.0/24 dev eth1 mtu 1400
		ip route append 2001:db8:11::/64 dev eth2
		ip route append 2001:db8:11::/64 dev eth1
		ip route append 2001:db8:12::/64 dev eth1
		ip route append 2001:db8:12::/64 via 2001:db8:1::fe dev eth1`)
	before, other := n.host.Settled(t, "eth1"), n.host.Settled(t, "eth2")
	order := n.host.IP(t, "-4 route show table all")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if d := plan[0].Differences; len(d) > 0 {
		t.Errorf("in the pod: %v", d)
	}
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
	n.host.SameDump(t, "eth2", other)
	sameText(t, "the order of routes", order, n.host.IP(t, "-4 route show table all"))
}

// What somebody has put in their place meanwhile stays the one that counts.
func TestReturnRoutesWhosePlaceIsTaken(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	n.host.Shell(t, `
		set -e
		ip link set eth1 up
		ip link set eth2 up
		ip addr add 192.0.1.1/24 dev eth1
		ip route append 10.1.0.0/16 via 192.0.1.254
		ip route append 10.1.0.0/16 via 192.0.1.253`)
	n.host.Settled(t, "eth1")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.host.IP(t, "route add 10.1.0.0/16 dev eth2")
	if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrDiffers) {
		t.Errorf("error is %v, want %v", err, netmove.ErrDiffers)
	}
	sameText(t, "routes", "10.1.0.0/16 dev eth2 scope link \n10.1.0.0/16 via 192.0.1.253 dev eth1 \n", n.host.IP(t, "route show 10.1.0.0/16"))
}

// Of a device that is built on one that moves, the places are known, too.
func TestPlacesOfUppers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	n.host.Shell(t, `
		set -e
		ip link add mac1 link eth1 type macvlan mode bridge
		for i in eth1 eth2 mac1; do ip link set $i up; done
		ip route append 10.1.0.0/16 dev eth2
		ip route append 10.1.0.0/16 dev mac1
		ip route append 10.2.0.0/16 dev mac1 table 100
		ip route append 10.2.0.0/16 dev eth1 table 100
		ip route append 10.3.0.0/16 dev mac1`)
	dev, err := netmove.Read(n.hostNS, "eth1")
	if err != nil || len(dev.Uppers) != 1 {
		t.Fatalf("%d devices on it, %v", len(dev.Uppers), err)
	}
	for what, tc := range map[string]struct {
		entries []netmove.Entry
		want    string
	}{
		"eth1": {dev.Entries, "10.2.0.0/16 table 100: last\n"},
		"mac1": {dev.Uppers[0].Entries, "10.2.0.0/16 table 100: first\n10.1.0.0/16: last\n10.3.0.0/16: \n"},
	} {
		var got strings.Builder
		for _, e := range tc.entries {
			if e.Table == netmove.TableRoute {
				fmt.Fprintf(&got, "%s: %s\n", e.Text, e.Place)
			}
		}
		sameText(t, what, tc.want, got.String())
	}
}
