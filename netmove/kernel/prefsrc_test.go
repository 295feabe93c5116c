package kernel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// twoNICs makes two devices with addresses of both families.
func twoNICs(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.veth(t, "eth0")
	n.veth(t, "eth1")
	n.host.Shell(t, `
		ip link set eth0 up
		ip link set eth1 up
		ip addr add 192.0.2.1/24 dev eth0
		ip addr add 203.0.113.1/24 dev eth1
		ip -6 addr add 2001:db8:1::1/64 dev eth0 nodad
		ip -6 addr add 2001:db8:2::1/64 dev eth1 nodad`)
	return n
}

// lossesOf are the device's by kind.
func (n *node) lossesOf(t *testing.T, name string) map[netmove.LossKind]string {
	t.Helper()
	s, err := netmove.Read(n.hostNS, name)
	if err != nil {
		t.Fatal(err)
	}
	list := map[netmove.LossKind]string{}
	for _, l := range s.Loss {
		list[l.Kind] = l.Text
	}
	return list
}

// The kernel deletes the routes of other devices whose source is an address that goes: they
// are told of, and put back.
func TestRoutesOfOthers(t *testing.T) {
	t.Parallel()
	for route, loss := range map[string]string{
		"10.9.0.0/16 via 192.0.2.254 src 203.0.113.1":                           "10.9.0.0/16 dev eth0 has its address 203.0.113.1 as source",
		"10.9.0.0/16 dev eth0 src 203.0.113.1 metric 7":                         "10.9.0.0/16 dev eth0 has its address 203.0.113.1 as source",
		"blackhole 10.9.0.0/16 src 203.0.113.1":                                 "10.9.0.0/16 has its address 203.0.113.1 as source",
		"10.9.0.0/16 nhid 7 src 203.0.113.1":                                    "10.9.0.0/16 dev eth0 has its address 203.0.113.1 as source",
		"10.9.0.0/16 nhid 9 src 203.0.113.1":                                    "10.9.0.0/16 dev eth0 dev eth0 has its address 203.0.113.1 as source",
		"10.9.0.0/16 nexthop via 192.0.2.254 nexthop via 203.0.113.254":         "10.9.0.0/16 goes through other devices as well",
		"2001:db8:9::/64 via 2001:db8:1::fe src 2001:db8:2::1":                  "2001:db8:9::/64 dev eth0 has its address 2001:db8:2::1 as source",
		"default via 192.0.2.254 src 203.0.113.1 table 77":                      "",
		"10.9.0.0/16 via 203.0.113.254 src 203.0.113.1":                         "",
		"10.9.0.0/16 via 203.0.113.254 src 192.0.2.1":                           "",
		"10.9.0.0/16 nhid 10":                                                   "",
		"10.9.0.0/16 nhid 8 src 203.0.113.1":                                    "",
		"2001:db8:9::/64 nexthop via 2001:db8:1::fe nexthop via 2001:db8:2::fe": "",
	} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			n := twoNICs(t)
			n.host.Shell(t, `
				ip nexthop add id 6 via 192.0.2.253 dev eth0
				ip nexthop add id 7 via 192.0.2.254 dev eth0
				ip nexthop add id 8 via 203.0.113.254 dev eth1
				ip nexthop add id 9 group 6/7
				ip nexthop add id 10 group 7/8
				ip route add `+route)
			if got := n.lossesOf(t, "eth1")[netmove.LossRoutes]; got != loss {
				t.Errorf("loss is %q, want %q", got, loss)
			}
			n.sameRoutesAfter(t, "eth1")
		})
	}
}

// Where the kernel does not tell by which devices a route with a nexthop object goes, one
// through the device is none of others.
func TestRoutesOfOthersUntold(t *testing.T) {
	t.Parallel()
	for object, loss := range map[string]string{"7": "10.9.0.0/16 has its address 203.0.113.1 as source", "8": "", "9": ""} {
		t.Run(object, func(t *testing.T) {
			t.Parallel()
			n := twoNICs(t)
			n.host.Shell(t, `
				sysctl -qw net.ipv4.nexthop_compat_mode=0
				ip nexthop add id 7 via 192.0.2.254 dev eth0
				ip nexthop add id 8 via 203.0.113.254 dev eth1
				ip nexthop add id 9 group 7/8
				ip route add 10.9.0.0/16 src 203.0.113.1 nhid `+object)
			if got := n.lossesOf(t, "eth1")[netmove.LossRoutes]; got != loss {
				t.Errorf("loss is %q, want %q", got, loss)
			}
		})
	}
}

// Of many such routes a few are told of, and all are counted; none is overlooked that is put
// back, or that makes the device one that never moves.
func TestManyRoutesOfOthers(t *testing.T) {
	t.Parallel()
	n := twoNICs(t)
	n.host.Shell(t, `
		ip addr add 203.0.113.1/16 dev eth1
		ip addr add 203.0.113.2/24 dev eth1
		ip addr add 203.0.113.2/32 dev eth0
		for i in 1 2 3 4 5; do
			ip route add 10.$i.0.0/16 via 192.0.2.254 src 203.0.113.1 proto bgp
			ip route add 11.$i.0.0/16 via 192.0.2.254 src 203.0.113.2 proto bgp
			ip -6 route add 2001:db8:9$i::/48 via 2001:db8:1::fe src 2001:db8:2::1 proto bgp
		done
		for i in 1 2 3 4; do
			ip route add 12.$i.0.0/16 via 192.0.2.254 src 203.0.113.1 proto static
		done
		ip route add 128.0.0.0/1 via 192.0.2.254 src 203.0.113.1 proto bgp`)
	dev, err := netmove.Read(n.hostNS, "eth1")
	if err != nil {
		t.Fatal(err)
	}
	const told = `10.1.0.0/16 dev eth0 has its address 203.0.113.1 as source, ` +
		`10.2.0.0/16 dev eth0 has its address 203.0.113.1 as source, ` +
		`10.3.0.0/16 dev eth0 has its address 203.0.113.1 as source, 12 more`
	if want := []netmove.Loss{{Kind: netmove.LossRoutes, Text: told}}; !slices.Equal(dev.Loss, want) {
		t.Errorf("loss is %v, want %v", dev.Loss, want)
	}
	var back []string
	for _, r := range dev.OthersRoutes {
		back = append(back, r.Text)
	}
	if want := []string{"12.1.0.0/16 dev eth0", "12.2.0.0/16 dev eth0", "12.3.0.0/16 dev eth0", "12.4.0.0/16 dev eth0"}; !slices.Equal(back, want) {
		t.Errorf("to be put back are %q, want %q", back, want)
	}
	if dev.Role.Uplink.Source.String() != "203.0.113.1" || !strings.HasPrefix(dev.Role.Uplink.Route, "128.0.0.0/1 via 192.0.2.254") {
		t.Errorf("role is %+v", dev.Role)
	}
}

// sameRoutesAfter moves the device to the pod and back.
func (n *node) sameRoutesAfter(t *testing.T, name string) {
	t.Helper()
	before := n.allRoutes(t)
	plan := n.attach(t, netmove.Request{Device: name, PodName: "net1"})
	n.giveBack(t, plan)
	sameText(t, "routes", before, n.allRoutes(t))
	n.giveBack(t, plan) // nothing is left to do
	sameText(t, "routes", before, n.allRoutes(t))
}

// allRoutes are those that somebody has made.
func (n *node) allRoutes(t *testing.T) string {
	t.Helper()
	var list []string
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(n.host.IP(t, family, "route", "show", "table", "all")) {
			if !strings.Contains(line, "proto kernel") {
				list = append(list, line)
			}
		}
	}
	return strings.Join(slices.Sorted(slices.Values(list)), "")
}

// An address that another device has as well stays an address of the host.
func TestRoutesOfSharedSource(t *testing.T) {
	t.Parallel()
	n := twoNICs(t)
	n.host.IP(t, "addr add 203.0.113.1/32 dev eth0")
	n.host.IP(t, "route add 10.9.0.0/16 via 192.0.2.254 src 203.0.113.1")
	s, err := netmove.Read(n.hostNS, "eth1")
	if err != nil || len(s.Loss) != 0 {
		t.Errorf("loss is %v, %v", s.Loss, err)
	}
	n.sameRoutesAfter(t, "eth1")
}

// The IPv6 addresses of what is built on a device go with it.
func TestRoutesOfUppersSource(t *testing.T) {
	t.Parallel()
	n := twoNICs(t)
	n.host.Shell(t, `
		ip link add mac1 link eth1 type macvlan
		ip link set mac1 up
		ip addr add 2001:db8:3::1/64 dev mac1 nodad
		ip -6 route add 2001:db8:9::/48 via 2001:db8:1::fe src 2001:db8:3::1`)
	const lost = "2001:db8:9::/48 dev eth0 has its address 2001:db8:3::1 as source"
	if got := n.lossesOf(t, "eth1")[netmove.LossRoutes]; got != lost {
		t.Errorf("loss is %q, want %q", got, lost)
	}
}

// What the host did about such a route while the device was away stays as it is.
func TestRoutesOfOthersMeanwhile(t *testing.T) {
	t.Parallel()
	for what, meanwhile := range map[string]string{
		"replaced":   "ip route add 10.9.0.0/16 via 192.0.2.253",
		"no device":  "ip link del eth0",
		"new device": "ip link del eth0; ip link add eth0 index 77 type veth peer name p0; ip link set eth0 up; ip addr add 192.0.2.1/24 dev eth0",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n := twoNICs(t)
			n.host.IP(t, "route add 10.9.0.0/16 via 192.0.2.254 src 203.0.113.1")
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			n.host.Shell(t, meanwhile)
			want := n.host.IP(t, "route show 10.9.0.0/16")
			n.giveBack(t, plan)
			sameText(t, "route", want, n.host.IP(t, "route show 10.9.0.0/16"))
		})
	}
}

// A route that cannot be put back is told of.
func TestRouteOfOthersLost(t *testing.T) {
	t.Parallel()
	n := twoNICs(t)
	n.host.IP(t, "route add 10.9.0.0/16 via 192.0.2.254 src 203.0.113.1")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.host.IP(t, "link set eth0 down")
	err := n.mover.Return(n.podNS, &plan[0])
	if !errors.Is(err, netmove.ErrDiffers) || !strings.Contains(err.Error(), "add 10.9.0.0/16 dev eth0: ") {
		t.Errorf("error is %v", err)
	}
	n.host.IP(t, "link set eth0 up")
	n.giveBack(t, plan)
	if got := n.host.IP(t, "route show 10.9.0.0/16"); !strings.Contains(got, "src 203.0.113.1") {
		t.Errorf("route is %q", got)
	}
}
