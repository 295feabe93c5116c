package netmove_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// A look at the pod that fails refuses the plan.
func TestPrepareFailsAtEveryStep(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture()
		plan := f.mustPlan(t, threeRequests()...)
		f.Fail(n, netmovetest.Before)
		err := f.mover.Prepare(f.pod, plan)
		if f.Calls() < n {
			if err != nil || n < 10 {
				t.Errorf("%d steps, error is %v", n-1, err)
			}
			break
		}
		if !errors.Is(err, netmovetest.ErrInjected) {
			t.Errorf("step %d: error is %v", n, err)
		}
	}
}

// A route that the pod has is refused, unless it is to stand back.
func TestRouteThatThePodHas(t *testing.T) {
	to := func(prefix string, edit ...func(*netmove.RouteRequest)) netmove.RouteRequest {
		r := netmove.RouteRequest{To: netip.MustParsePrefix(prefix)}
		for _, f := range edit {
			f(&r)
		}
		return r
	}
	replacing := func(r *netmove.RouteRequest) { r.ReplaceDefault = true }
	metric := func(r *netmove.RouteRequest) { r.Metric = 7 }
	refused := func(r, to, more string) string {
		return fmt.Sprintf(`device "eth2": route %s: the pod has one to %s with the same metric and table: choose another metric or table%s`, r, to, more)
	}
	for name, tc := range map[string]struct {
		routes []netmove.RouteRequest
		want   string
	}{
		"network":         {[]netmove.RouteRequest{to("10.0.0.0/8")}, refused("10.0.0.0/8", "10.0.0.0/8", "")},
		"default":         {[]netmove.RouteRequest{to("0.0.0.0/0")}, refused("0.0.0.0/0", "0.0.0.0/0", ", or say replaceDefault: true")},
		"replacing":       {[]netmove.RouteRequest{to("0.0.0.0/0", replacing)}, ""},
		"another":         {[]netmove.RouteRequest{to("10.1.0.0/16"), to("10.0.0.0/8", metric)}, ""},
		"after replacing": {[]netmove.RouteRequest{to("0.0.0.0/0", replacing), to("10.0.0.0/8")}, refused("10.0.0.0/8", "10.0.0.0/8", "")},
	} {
		f := newFixture()
		if err := f.pod.AddRoute(2, to("10.0.0.0/8")); err != nil { // it has a default route
			t.Fatal(err)
		}
		_, err := f.plan(netmove.Request{Device: "eth2", Routes: tc.routes})
		if got := text(err); got != tc.want {
			t.Errorf("%s: error is\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}

// Default routes of the family stand back for one that replaces them, behind its metric.
func TestDefaultRoutesStandBack(t *testing.T) {
	four, six := netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")
	for name, tc := range map[string]struct {
		routes []netmove.RouteRequest
		want   []string
	}{
		"IPv4":              {[]netmove.RouteRequest{{To: four, ReplaceDefault: true, Metric: 5}}, []string{"0.0.0.0/0 via 10.0.0.1 metric 6"}},
		"IPv4's own metric": {[]netmove.RouteRequest{{To: four, ReplaceDefault: true}}, []string{"0.0.0.0/0 via 10.0.0.1 metric 1"}},
		"IPv6's own metric": {[]netmove.RouteRequest{{To: six, ReplaceDefault: true}}, []string{"::/0 via fe80::1 metric 1025"}},
		"IPv6":              {[]netmove.RouteRequest{{To: six, ReplaceDefault: true, Metric: 5}}, []string{"::/0 via fe80::1 metric 6"}},
		"not asked for":     {[]netmove.RouteRequest{{To: four, Table: 7}}, nil},
		"one of two":        {[]netmove.RouteRequest{{To: four, Table: 7}, {To: six, ReplaceDefault: true}}, []string{"::/0 via fe80::1 metric 1025"}},
	} {
		f := newFixture()
		if err := f.pod.PutEntry(2, route("::/0", "fe80::1")); err != nil {
			t.Fatal(err)
		}
		plan := f.mustPlan(t, netmove.Request{Device: "eth2", Routes: tc.routes})
		if err := f.mover.Prepare(f.pod, plan); err != nil { // once more
			t.Fatal(err)
		}
		var got []string
		for _, r := range plan[0].Replaced {
			got = append(got, r.Now.Text)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Rules of the pod's are looked at for those that are asked for, and for those that go along.
func TestRulesInThePod(t *testing.T) {
	rule := netmove.RuleRequest{From: netip.MustParsePrefix("192.0.2.77/32"), Priority: 7, Table: 100}
	for name, tc := range map[string]struct {
		requests   []netmove.Request
		want, left string
	}{
		"asked for": {
			[]netmove.Request{{Device: "eth3"}, {Device: "eth2", Rules: []netmove.RuleRequest{rule}}},
			`device "eth2": rule from 192.0.2.77/32 priority 7 table 100: the pod has it already`,
			"",
		},
		"goes along": {
			[]netmove.Request{{Device: "eth1"}},
			"",
			"rule: from 192.0.2.1/32 lookup 1001 priority 7 stays on the host: the pod has a rule of that priority",
		},
	} {
		f := newFixture()
		if err := f.pod.AddRule(rule); err != nil {
			t.Fatal(err)
		}
		plan, err := f.plan(tc.requests...)
		if got := text(err); got != tc.want {
			t.Errorf("%s: error is %s, want %s", name, got, tc.want)
		}
		if got := strings.Trim(fmt.Sprint(plan[0].Left), "[]"); got != tc.left {
			t.Errorf("%s: told %s, want %s", name, got, tc.left)
		}
	}
	f := newFixture()
	f.Fail(0, netmovetest.Never)
	with := f.mustPlan(t, netmove.Request{Device: "eth2", Rules: []netmove.RuleRequest{rule}})
	many := f.Calls()
	f.Fail(0, netmovetest.Never)
	without := f.mustPlan(t, netmove.Request{Device: "eth2"})
	if few := f.Calls(); few != many-1 {
		t.Errorf("%d requests for %v, %d for %v: the rules are read without need", many, with, few, without)
	}
}

// What of IPv6 goes along stays, word by word, and what is refused is refused for its device.
func TestWithoutIPv6Told(t *testing.T) {
	f := newFixture()
	f.pod.WithoutIPv6()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
	var kept, left []string
	for _, a := range plan[0].Addresses {
		kept = append(kept, a.String())
	}
	for _, e := range plan[0].Entries {
		kept = append(kept, e.Text)
	}
	for _, d := range plan[0].Left {
		left = append(left, d.String())
	}
	const why = " stays on the host: the pod's network namespace has no IPv6"
	wantKept := []string{"192.0.2.1/24", "192.0.2.2/24", "10.0.0.0/8 via 192.0.2.254", "192.0.2.9", "from 192.0.2.1/32 lookup 1001 priority 7"}
	wantLeft := []string{"addresses: 2001:db8::2/64" + why, "addresses: 2001:db8::1/64" + why, "route: 2001:db8:1::/48 via 2001:db8::fe" + why}
	if diff := cmp.Diff([][]string{wantKept, wantLeft}, [][]string{kept, left}); diff != "" {
		t.Errorf("kept and left (-want +got):\n%s", diff)
	}
	four, six := netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/64")
	mac := netmove.MAC{2, 0, 0, 0, 0, 9}
	_, err := f.plan(
		netmove.Request{Device: "eth1", Sysctls: map[string]string{netmove.DisableIPv6: "0"}, Routes: []netmove.RouteRequest{{To: six}}},
		netmove.Request{
			Device: "eth2", Routes: []netmove.RouteRequest{{To: four}, {To: six}},
			Neighbors: []netmove.NeighborRequest{{IP: netip.MustParseAddr("192.0.2.7"), MAC: mac}, {IP: netip.MustParseAddr("fe80::7"), MAC: mac}},
		},
	)
	want := []string{`device "eth2": route 2001:db8::/64`, `device "eth2": neighbor fe80::7 lladdr 02:00:00:00:00:09`}
	var got []string
	for line := range strings.SplitSeq(text(err), "\n") {
		words, _, _ := strings.Cut(line, ": the pod's network namespace has no IPv6")
		got = append(got, words)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
}
