package netmove_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Each thing of IPv6 that is asked for is refused by itself, and nothing is asked of a pod for
// devices without IPv6.
func TestWithoutIPv6(t *testing.T) {
	t.Parallel()
	mac := netmove.MAC{2, 0, 0, 0, 0, 9}
	for name, tc := range map[string]struct {
		request netmove.Request
		want    string
	}{
		"kept":     {netmove.Request{Device: "eth1"}, ""},
		"none":     {netmove.Request{Device: "eth2"}, ""},
		"address":  {netmove.Request{Device: "eth2", Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::9/64")}}, "address 2001:db8::9/64"},
		"route":    {netmove.Request{Device: "eth2", Routes: []netmove.RouteRequest{{To: netip.MustParsePrefix("2001:db8::/64")}}}, "route 2001:db8::/64"},
		"next hop": {netmove.Request{Device: "eth2", Routes: []netmove.RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("fe80::1")}}}, "route 10.0.0.0/8 via fe80::1"},
		"neighbor": {netmove.Request{Device: "eth2", Neighbors: []netmove.NeighborRequest{{IP: netip.MustParseAddr("2001:db8::9"), MAC: mac}}}, "neighbor 2001:db8::9"},
		"asked on": {netmove.Request{Device: "eth1", Sysctls: map[string]string{netmove.DisableIPv6: "0"}}, ""},
	} {
		f := newFixture()
		f.pod.WithoutIPv6()
		plan, err := f.plan(tc.request)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), `device "`+tc.request.Device+`": `+tc.want) {
			t.Errorf("%s: error is %v, want %q", name, err, tc.want)
		}
		if err != nil {
			continue
		}
		var six, left int
		for _, a := range plan[0].Addresses {
			if a.IsIPv6() {
				six++
			}
		}
		for _, d := range plan[0].Left {
			if strings.Contains(d.String(), "has no IPv6") {
				left++
			}
		}
		want := map[string][2]int{"kept": {0, 3}, "none": {}, "asked on": {2, 0}}[name]
		if want != [2]int{six, left} {
			t.Errorf("%s: %d IPv6 addresses, told of %d: %v", name, six, left, plan[0].Left)
		}
	}
}
