package kernel

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// Whether the kernel is asked for the routes of each device, or all routes are gone through
// for all devices, the same is found of each.
func TestOwnRoutes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"0", "1"} { // whether the kernel tells which devices a nexthop object goes through
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ns, k, _ := veth(t)
			ns.Shell(t, `
				ip link add eth3 type veth peer name eth4
				for i in lo eth1 eth2 eth3 eth4; do ip link set $i up; done
				for i in 1 2 3; do
					ip addr add 192.0.$i.1/24 dev eth$i
					ip addr add 2001:db8:$i::1/64 dev eth$i nodad
				done
				sysctl -qw net.ipv4.nexthop_compat_mode=`+mode+`
				ip nexthop add id 1 via 192.0.1.254 dev eth1
				ip nexthop add id 2 via 192.0.2.254 dev eth2
				ip nexthop add id 3 blackhole
				ip nexthop add id 4 group 1/2
				ip nexthop add id 5 via 2001:db8:3::fe dev eth3
				ip nexthop add id 6 group 5
				ip route add 10.1.0.0/16 nhid 1
				ip route add 10.2.0.0/16 nhid 3
				ip route add 128.0.0.0/1 nhid 4
				ip route add default via 192.0.3.254 table 77
				ip -6 route add 2000::/3 nhid 6
				for i in 1 2 3 4 5; do ip route add 10.3.$i.0/24 nexthop via 192.0.1.254 nexthop via 192.0.1.253 nexthop via 192.0.3.254; done
				ip route add 10.4.0.0/24 nexthop via 192.0.2.254 nexthop via 192.0.2.253
				ip -6 route add 2001:db8:99::/48 nexthop via 2001:db8:1::fe nexthop via 2001:db8:3::fe
				ip route add unreachable default metric 4000
				ip -6 route add unreachable default metric 4000`)
			var indexes []int
			for _, name := range []string{"eth1", "eth2", "eth3", "eth4"} {
				l, err := k.linkByName(name)
				if err != nil {
					t.Fatal(err)
				}
				indexes = append(indexes, l.Identity.Index)
			}
			together, err := k.ownRoutes(indexes...)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []ownRoutes{
				{map[uint32]bool{1: true, 4: true}, told{[]string{
					"10.3.1.0/24 goes through other devices as well", "10.3.2.0/24 goes through other devices as well",
					"10.3.3.0/24 goes through other devices as well",
				}, 2}},
				{map[uint32]bool{4: true}, told{}},
				{map[uint32]bool{6: true}, told{[]string{
					"10.3.1.0/24 goes through other devices as well", "10.3.2.0/24 goes through other devices as well",
					"10.3.3.0/24 goes through other devices as well",
				}, 2}},
				{map[uint32]bool{}, told{}},
			} {
				alone, err := k.ownRoutes(indexes[i])
				if err != nil {
					t.Fatal(err)
				}
				if got := *alone[indexes[i]]; !reflect.DeepEqual(got, want) {
					t.Errorf("eth%d by itself: %+v, want %+v", i+1, got, want)
				}
				if got := *together[indexes[i]]; !reflect.DeepEqual(got, want) {
					t.Errorf("eth%d with others: %+v, want %+v", i+1, got, want)
				}
			}
			if _, err := k.ownRoutes(1 << 20); !is(err, unix.ENODEV) {
				t.Errorf("of a device that is not there: %v", err)
			}
		})
	}
}
