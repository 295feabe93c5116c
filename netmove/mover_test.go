package netmove_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// fixture is a node with three devices and a pod that has an eth0.
type fixture struct {
	*netmovetest.World
	host, pod *netmovetest.Namespace
	mover     *netmove.Mover
}

func newFixture() *fixture {
	w := netmovetest.New()
	f := &fixture{World: w, host: w.AddNamespace("host"), pod: w.AddNamespace("pod")}
	f.mover = &netmove.Mover{Now: w.Now, Host: f.host, Log: slog.New(slog.DiscardHandler)}
	rule := netmove.PolicyRule{From: netip.MustParsePrefix("192.0.2.1/32"), Table: 1001, Priority: 7, Suppress: -1}
	eth1 := f.host.AddDevice(netmove.Device{Facts: netmove.Facts{Rules: []netmove.Entry{
		{Table: netmove.TableRule, Text: "from 192.0.2.1/32 lookup 1001 priority 7", Message: []byte("rule"), Rule: rule},
	}}, Snapshot: netmove.Snapshot{
		Name: "eth1", Altnames: []string{"enp2s0"}, Alias: "rack 3", MAC: netmove.MAC{2, 0, 0, 0, 0, 1},
		MTU: 1500, MinMTU: 68, MaxMTU: 9600, TxQueueLen: 1000, Flags: netmove.LinkFlags{Up: true, Multicast: true},
		Addresses: []netmove.Address{
			permanent("192.0.2.1/24", func(a *netmove.Address) { a.Label, a.Metric = "eth1:x", 77 }),
			permanent("192.0.2.2/24", func(a *netmove.Address) { a.Label, a.Protocol = "eth1", 99 }),
			timed("198.51.100.1/24", 300),
			permanent("2001:db8::2/64", nil),
			permanent("2001:db8::1/64", nil),
		},
		Options: []netmove.Option{{Name: "gso_max_size", Value: netmove.RawValue{1, 2}}},
		Sysctls: map[string]string{"ipv4/conf/arp_ignore": "1", "ipv6/conf/accept_ra": "0"},
		Entries: []netmove.Entry{
			{Table: netmove.TableFDB, Text: "lladdr 02:00:00:00:00:99", Message: []byte("fdb")},
			route("10.0.0.0/8", "192.0.2.254"), route("2001:db8:1::/48", "2001:db8::fe"),
			route("172.16.0.0/12", "198.51.100.254"), // reached by an address that stays on the host
			{Table: netmove.TableNeighbor, Text: "192.0.2.9", Message: []byte("neighbor")},
			{Table: netmove.TableNeighbor, Text: "192.0.2.10 proxy", Message: []byte("proxy"), Proxy: true},
		},
	}})
	f.host.Add(netmove.Snapshot{
		Name: "eth2", MAC: netmove.MAC{2, 0, 0, 0, 0, 2}, MTU: 9000, MinMTU: 68, MaxMTU: 9600,
		Addresses: []netmove.Address{permanent("203.0.113.1/24", func(a *netmove.Address) { a.Label = "eth2" })},
		Sysctls:   map[string]string{"ipv4/conf/arp_ignore": "0", "ipv6/conf/accept_ra": "1"},
	})
	f.host.AddDevice(netmove.Device{
		Snapshot: netmove.Snapshot{
			Name: "eth3", MTU: 1500, Group: 7, Flags: netmove.LinkFlags{Up: true, Promisc: true},
			Options: []netmove.Option{
				{Name: "gso_max_size", Value: netmove.RawValue{0, 0, 1, 0}}, netmovetest.FeatureOption("rx-gro", true),
			},
			Programs: []netmove.Program{{Hook: netmove.XDPDriver, ID: 7}, {Hook: netmove.TCXIngress, ID: 8}},
		},
		Facts: netmove.Facts{
			TSOMaxSize: 524280, Features: map[string]netmove.Feature{"rx-gro": {On: true}, "rx-lro": {Fixed: true}},
		},
	})
	f.pod.Add(netmove.Snapshot{
		Name: "eth0", MTU: 1500, Flags: netmove.LinkFlags{Up: true}, Entries: []netmove.Entry{route("0.0.0.0/0", "10.0.0.1")},
	})
	vlan := f.host.AddUpper(f.host, eth1.Identity.Index, netmove.Snapshot{
		Name: "eth1.5", MTU: 1500, Flags: netmove.LinkFlags{Up: true}, Identity: netmove.Identity{Kind: "vlan"},
		Addresses: []netmove.Address{permanent("10.5.0.1/24", nil), permanent("2001:db8:5::1/64", nil)},
		Entries:   []netmove.Entry{route("10.6.0.0/16", "10.5.0.9")},
	})
	f.host.AddUpper(f.host, vlan.Identity.Index, netmove.Snapshot{Name: "eth1.5.6", MTU: 1400, Identity: netmove.Identity{Kind: "vlan"}})
	return f
}

func route(dst, via string) netmove.Entry {
	return netmove.Entry{
		Table: netmove.TableRoute, Text: dst + " via " + via, Message: []byte(dst),
		Route: netmove.Route{Dst: netip.MustParsePrefix(dst), Via: []netip.Addr{netip.MustParseAddr(via)}, Unicast: true},
	}
}

func permanent(cidr string, edit func(*netmove.Address)) netmove.Address {
	a := netmove.NewAddress(netip.MustParsePrefix(cidr))
	if edit != nil {
		edit(&a)
	}
	return a
}

func timed(cidr string, seconds uint32) netmove.Address {
	return permanent(cidr, func(a *netmove.Address) {
		a.Flags, a.Valid, a.Preferred, a.Label = 0, seconds, seconds, "eth1"
	})
}

// plan is what the plugin does before the journal begins.
func (f *fixture) plan(requests ...netmove.Request) (netmove.Plan, error) {
	devices := make([]netmove.Device, len(requests))
	for i, r := range requests {
		var err error
		if devices[i], err = netmove.Read(f.host, r.Device); err != nil {
			return nil, err
		}
		if devices[i].Features, err = f.host.Features(devices[i].Identity.Index); err != nil {
			return nil, err
		}
	}
	plan, err := netmove.NewPlan(requests, devices)
	if err != nil {
		return nil, err
	}
	return plan, f.mover.Prepare(f.pod, plan)
}

func (f *fixture) mustPlan(t *testing.T, requests ...netmove.Request) netmove.Plan {
	t.Helper()
	plan, err := f.plan(requests...)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// three devices of which two swap their names. Together they ask for everything there is.
func threeRequests() []netmove.Request {
	return []netmove.Request{
		{Device: "enp2s0", PodName: "eth2", MTU: 9000, MAC: netmove.MAC{2, 0, 0, 0, 0, 0xff}},
		{
			Device: "eth2", PodName: "eth1", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")},
			Routes: []netmove.RouteRequest{
				{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("198.51.100.1"), Table: 100},
				{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1"), ReplaceDefault: true},
				{To: netip.MustParsePrefix("198.51.100.0/24"), Src: netip.MustParseAddr("192.0.2.9"), Scope: netmove.ScopeLink},
			},
			Rules:     []netmove.RuleRequest{{From: netip.MustParsePrefix("192.0.2.9/32"), Table: 100}, {FwMark: 1, Table: 100}},
			Neighbors: []netmove.NeighborRequest{{IP: netip.MustParseAddr("192.0.2.1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 9}}},
			Sysctls:   map[string]string{"ipv4/arp_ignore": "1", "ipv6/accept_ra": "0"},
		},
		{Device: "eth3", GSOMaxSize: 100000, Features: map[string]bool{"rx-gro": false}, DetachBPF: true},
	}
}

func TestAttach(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, threeRequests()...)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Fatalf("planning changed the world (-want +got):\n%s", diff)
	}
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	for _, a := range plan {
		if len(a.Differences) > 0 {
			t.Errorf("told of %q: %v", a.Before.Name, a.Differences)
		}
	}
	// eth1 of the host had ifindex 2, which is eth0's in the pod.
	want := `host
  1 lo inode 1001 altnames [] alias "" mac  mtu 65536 qlen 0 group 0 master 0 flags []
  eth1.5 has eth1.5.6 on it
  5 eth1.5 inode 1007 altnames [] alias "" mac  mtu 1500 qlen 0 group 0 master 0 flags [up]
    10.5.0.1/24 label "" scope 0 flags 0x80 metric 0 proto 0 valid 4294967295 preferred 4294967295
  6 eth1.5.6 inode 1008 altnames [] alias "" mac  mtu 1400 qlen 0 group 0 master 0 flags [up]
pod
  rule from 192.0.2.1/32 lookup 1001 priority 7
  rule from 192.0.2.9/32 table 100
  rule fwmark 0x1 table 100
  1 lo inode 1002 altnames [] alias "" mac  mtu 65536 qlen 0 group 0 master 0 flags []
  2 eth0 inode 1006 altnames [] alias "" mac  mtu 1500 qlen 0 group 0 master 0 flags [up]
    route 0.0.0.0/0 via 10.0.0.1 metric 1 302e302e302e302f30207669612031302e302e302e31206d65747269632031
  eth2 has eth1.5 on it
  3 eth2 inode 1003 altnames ["enp2s0"] alias "rack 3" mac 02:00:00:00:00:ff mtu 9000 qlen 1000 group 0 master 0 flags [up multicast]
    192.0.2.1/24 label "eth2:x" scope 0 flags 0x80 metric 77 proto 0 valid 4294967295 preferred 4294967295
    192.0.2.2/24 label "eth2" scope 0 flags 0x80 metric 0 proto 99 valid 4294967295 preferred 4294967295
    2001:db8::2/64 label "" scope 0 flags 0x80 metric 0 proto 0 valid 4294967295 preferred 4294967295
    2001:db8::1/64 label "" scope 0 flags 0x80 metric 0 proto 0 valid 4294967295 preferred 4294967295
    route 10.0.0.0/8 via 192.0.2.254 31302e302e302e302f38
    neighbor 192.0.2.9 6e65696768626f72
    route 2001:db8:1::/48 via 2001:db8::fe 323030313a6462383a313a3a2f3438
    option gso_max_size 0102
    sysctl ipv4/conf/arp_ignore 0
    sysctl ipv6/conf/accept_ra 0
  4 eth1 inode 1004 altnames [] alias "" mac 02:00:00:00:00:02 mtu 9000 qlen 0 group 0 master 0 flags [up]
    192.0.2.9/24 label "eth1" scope 0 flags 0x80 metric 0 proto 0 valid 4294967295 preferred 4294967295
    route 0.0.0.0/0 via 192.0.2.1 302e302e302e302f3020766961203139322e302e322e31
    route 0.0.0.0/0 via 198.51.100.1 table 100 302e302e302e302f3020766961203139382e35312e3130302e31207461626c6520313030
    neighbor 192.0.2.1 lladdr 02:00:00:00:00:09 3139322e302e322e31206c6c616464722030323a30303a30303a30303a30303a3039
    route 198.51.100.0/24 src 192.0.2.9 3139382e35312e3130302e302f323420737263203139322e302e322e39
    sysctl ipv4/conf/arp_ignore 1
    sysctl ipv6/conf/accept_ra 0
  5 eth3 inode 1005 altnames [] alias "" mac  mtu 1500 qlen 0 group 7 master 0 flags [up promisc]
    option feature.rx-gro 66616c7365
    option gso_max_size a0860100
`
	if diff := cmp.Diff(want, f.String()); diff != "" {
		t.Errorf("world after attach (-want +got):\n%s", diff)
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("world after return (-want +got):\n%s", diff)
	}
}

func (f *fixture) returnAll(t *testing.T, plan netmove.Plan) {
	t.Helper()
	for i := range plan {
		if err := f.mover.Return(f.pod, &plan[i]); err != nil {
			t.Errorf("return %q: %v", plan[i].Before.Name, err)
		}
	}
}

// Every request of an attach fails once, before or after its effect: the host
// must be as it was when Attach returns.
func TestAttachFailsAtEveryStep(t *testing.T) {
	for _, when := range []netmovetest.When{netmovetest.Before, netmovetest.After} {
		for n := 1; ; n++ {
			f := newFixture()
			before := f.String()
			plan := f.mustPlan(t, threeRequests()...)
			f.Fail(n, when)
			err := f.mover.Attach(t.Context(), f.pod, plan)
			if f.Calls() < n {
				if err != nil {
					t.Fatalf("attach without a failing step: %v", err)
				}
				if n < 20 {
					t.Fatalf("an attach of three devices took only %d steps", n)
				}
				break
			}
			if err == nil {
				// All that was lost is the answer about a guard that is gone, or what goes along.
				if told := fmt.Sprint(plan[0].Differences); when == netmovetest.Before && !strings.Contains(told, "injected") {
					t.Errorf("step %d failed, and nothing is told: %s", n, told)
				}
				f.returnAll(t, plan)
			} else if !errors.Is(err, netmovetest.ErrInjected) {
				t.Errorf("step %d: error is %v, want the injected one", n, err)
			}
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d failed (%v), error %v: the world differs (-want +got):\n%s", n, when, err, diff)
			}
		}
	}
}

// A step of the undo fails: the error says so, unless all is undone
// nevertheless, and Undo, once more, completes it.
func TestUndoFailsAtEveryStep(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, threeRequests()...)
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		f.Fail(n, netmovetest.Before)
		err := f.mover.Undo(f.pod, plan)
		if f.Calls() < n {
			break
		}
		if before != f.String() && !errors.Is(err, netmovetest.ErrInjected) {
			t.Errorf("undo failed at %d: error is %v, want the injected one", n, err)
		}
		f.Fail(0, netmovetest.Never)
		if err := f.mover.Undo(f.pod, plan); err != nil {
			t.Errorf("undo failed at %d, second undo: %v", n, err)
		}
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("undo failed at %d: the world differs (-want +got):\n%s", n, diff)
		}
	}
}

// The last one is the first to return, but among the ports of one bridge.
func TestHomeward(t *testing.T) {
	port := func(bridge uint64, number int) netmove.Attachment {
		return netmove.Attachment{Before: netmove.Snapshot{Master: netmove.Identity{Inode: bridge}, Port: number}}
	}
	for _, tc := range []struct {
		list []netmove.Attachment
		want []int
	}{
		{nil, []int{}},
		{[]netmove.Attachment{{}, {}, {}}, []int{2, 1, 0}},
		{[]netmove.Attachment{port(1, 1), port(1, 2), port(1, 3)}, []int{0, 1, 2}},
		{[]netmove.Attachment{port(1, 3), {}, port(1, 1), port(1, 2)}, []int{2, 3, 1, 0}},
		{[]netmove.Attachment{port(1, 1), port(2, 1), port(1, 2), port(2, 2)}, []int{1, 0, 3, 2}},
		{[]netmove.Attachment{port(1, 1), port(2, 2)}, []int{1, 0}},
		{[]netmove.Attachment{port(1, 0), port(1, 2)}, []int{1, 0}}, // an older record has no number
	} {
		if diff := cmp.Diff(tc.want, netmove.Homeward(tc.list)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func TestReturnFailsAtEveryStep(t *testing.T) {
	for _, when := range []netmovetest.When{netmovetest.Before, netmovetest.After} {
		for n := 1; ; n++ {
			f := newFixture()
			before := f.String()
			plan := f.mustPlan(t, threeRequests()...)
			if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
				t.Fatal(err)
			}
			f.Fail(n, when)
			var err error
			for i := range plan {
				err = errors.Join(err, f.mover.Return(f.pod, &plan[i]))
			}
			if f.Calls() < n {
				break
			}
			f.Fail(0, netmovetest.Never)
			// What fails once is done at the second pass.
			if err != nil && !errors.Is(err, netmovetest.ErrInjected) || err == nil && f.String() != before {
				t.Errorf("step %d: error is %v, want the injected one", n, err)
			}
			f.returnAll(t, plan)
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d failed: the world differs (-want +got):\n%s", n, diff)
			}
		}
	}
}

// A request that says wrongly that there is no such thing, as drivers do of settings, makes no
// device an impostor and sends none into the pod.
func TestReturnToldOfNothing(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture()
		before := f.String()
		plan := f.mustPlan(t, threeRequests()...)
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		moves := 0
		f.mover.Moved = func(time.Duration) { moves++ }
		f.Fail(n, netmovetest.Absent)
		var err error
		for i := range plan {
			err = errors.Join(err, f.mover.Return(f.pod, &plan[i]))
		}
		if f.Calls() < n {
			break
		}
		f.Fail(0, netmovetest.Never)
		if moves > len(plan) {
			t.Errorf("step %d: %d moves of %d devices: %v", n, moves, len(plan), err)
		}
		f.returnAll(t, plan)
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("step %d: the world differs (-want +got):\n%s", n, diff)
		}
	}
}

// The context ends before every step of an attach in turn.
func TestAttachOutOfTime(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, threeRequests()...)
	cause := errors.New("the runtime's deadline is near")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	f.mover.Moved = func(time.Duration) { t.Error("a device was moved") }
	if err := f.mover.Attach(ctx, f.pod, plan); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

func TestAttachRefused(t *testing.T) {
	for _, tc := range []struct {
		name     string
		requests []netmove.Request
		want     string
	}{
		{"no such device", []netmove.Request{{Device: "eth3"}, {Device: "eth7"}}, `device "eth7": not found`},
		{"name taken in the pod", []netmove.Request{{Device: "eth1", PodName: "eth0"}}, `cannot name "eth1" "eth0" in the pod: the name is taken`},
		{"own altname", []netmove.Request{{Device: "eth1", PodName: "enp2s0"}}, `cannot name "eth1" "enp2s0" in the pod: "enp2s0" is an altname of "eth1"`},
		{"another's altname", []netmove.Request{{Device: "eth1"}, {Device: "eth2", PodName: "enp2s0"}}, `cannot name "eth2" "enp2s0" in the pod: "enp2s0" is an altname of "eth1"`},
		{"same name twice", []netmove.Request{{Device: "eth1"}, {Device: "eth2", PodName: "eth1"}}, `cannot name "eth2" "eth1" in the pod: "eth1" is the name of "eth1" there`},
		{"same device twice", []netmove.Request{{Device: "eth1"}, {Device: "enp2s0", PodName: "x"}}, `"eth1" and "enp2s0" are the same device: name it once`},
		{"lo", []netmove.Request{{Device: "lo", PodName: "x"}}, `device "lo": device cannot move: it is the loopback device of its network namespace`},
		{"MTU too big", []netmove.Request{{Device: "eth1", MTU: 9601}}, `device "eth1": mtu 9601 is outside the device's limits, 68 to 9600`},
		{"next hop out of reach", []netmove.Request{{Device: "eth1", Routes: []netmove.RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("10.9.9.9")}}}}, `device "eth1": route 10.0.0.0/8 via 10.9.9.9: the next hop 10.9.9.9 is not reached by any of its addresses and routes in the pod`},
		{"next hop is the device", []netmove.Request{{Device: "eth1", Routes: []netmove.RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.1")}}}}, `device "eth1": route 10.0.0.0/8 via 192.0.2.1: the next hop 192.0.2.1 is an address of the device's own`},
		{"somebody else's source", []netmove.Request{{Device: "eth1", Routes: []netmove.RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8"), Src: netip.MustParseAddr("192.0.2.3")}}}}, `device "eth1": route 10.0.0.0/8 src 192.0.2.3: src 192.0.2.3 is not among its addresses in the pod`},
		{"neighbor is the device", []netmove.Request{{Device: "eth1", Neighbors: []netmove.NeighborRequest{{IP: netip.MustParseAddr("192.0.2.1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 9}}}}}, `device "eth1": neighbor 192.0.2.1 lladdr 02:00:00:00:00:09: it is an address of the device's own`},
		{"IPv6 disabled", []netmove.Request{{Device: "eth1", Sysctls: map[string]string{netmove.DisableIPv6: "1"}}}, `device "eth1": sysctl ipv6/disable_ipv6 1 takes away its address 2001:db8::2/64: ask for other addresses, or for none`},
		{"GSO too big", []netmove.Request{{Device: "eth3", GSOMaxSize: 524281}}, `device "eth3": gsoMaxSize 524281: the device segments 524280 bytes at most`},
		{"old kernel", []netmove.Request{{Device: "eth3", GROIPv4MaxSize: 65536}}, `device "eth3": groIPv4MaxSize 65536: this node's kernel has no such setting`},
		{"no such feature, and a fixed one", []netmove.Request{{Device: "eth3", Features: map[string]bool{"rx-lro": true, "rx-x": true}}}, "device \"eth3\": offload feature \"rx-lro\": the device cannot switch it on\ndevice \"eth3\": offload feature \"rx-x\": the device has none of that name"},
		{"MTU too small for IPv6", []netmove.Request{{Device: "eth1", MTU: 1279}}, `device "eth1": mtu 1279 is too small for its address 2001:db8::2/64: IPv6 needs 1280 bytes`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture()
			before := f.String()
			_, err := f.plan(tc.requests...)
			if got := fmt.Sprint(err); !strings.HasPrefix(got, tc.want) {
				t.Errorf("error is\n%s\nwant\n%s", got, tc.want)
			}
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("the world differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A name that the pod takes between Prepare and the move is the case in which
// Linux strands a device: the guard makes it a clean refusal.
func TestNameTakenAfterPrepare(t *testing.T) {
	for _, name := range []string{"net1", "enp2s0"} {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
		f.pod.Add(netmove.Snapshot{Name: "new", Altnames: []string{name}})
		before := f.String()
		err := f.mover.Attach(t.Context(), f.pod, plan)
		if want := fmt.Sprintf(`cannot name "eth1" %q in the pod: the name is taken`, name); fmt.Sprint(err) != want {
			t.Errorf("error is\n%v\nwant\n%s", err, want)
		}
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("the world differs (-want +got):\n%s", diff)
		}
	}
}

// The device was replaced, or renamed, between the plan and the move.
func TestDeviceChangedAfterPlan(t *testing.T) {
	t.Run("replaced", func(t *testing.T) {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
		f.host.Remove("eth2")
		f.host.Add(netmove.Snapshot{Name: "eth2", MTU: 9000})
		before := f.String()
		err := f.mover.Attach(t.Context(), f.pod, plan)
		if !errors.Is(err, netmove.ErrNotFound) {
			t.Errorf("error is %v, want ErrNotFound", err)
		}
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("the world differs (-want +got):\n%s", diff)
		}
	})
	t.Run("renamed", func(t *testing.T) {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
		index := plan[0].Before.Identity.Index
		if err := f.host.Rename(index, "mgmt0"); err != nil {
			t.Fatal(err)
		}
		err := f.mover.Attach(t.Context(), f.pod, plan)
		if err == nil || !strings.Contains(err.Error(), `it is "mgmt0"`) {
			t.Errorf("error is %v", err)
		}
		if dev, err := f.host.ByName("mgmt0"); err != nil || dev.Identity.Index != index {
			t.Errorf("the device is %+v, %v", dev, err)
		}
	})
}

// A pod with NET_ADMIN changes all it can; the device comes home as it was.
func TestReturnFromHostilePod(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	index := plan[0].PodIndex
	recognisable := plan[0].Before.Identity.RecognisableName()
	for _, err := range []error{
		f.pod.Rename(index, "mine"),
		f.pod.SetMAC(index, netmove.MAC{2, 6, 6, 6, 6, 6}),
		f.pod.SetMTU(index, 68),
		f.pod.SetAlias(index, "eth0"),
		f.pod.SetGroup(index, 42),
		f.pod.SetTxQueueLen(index, 1),
		f.pod.SetFlags(index, netmove.LinkFlags{Promisc: true, NoARP: true}),
		f.pod.SetUp(index, false),
		f.pod.DropAltname(index, "enp2s0"),
		f.pod.AddAltname(index, "eth2"), // collides on the host
		f.pod.PutAddress(index, permanent("10.0.0.1/8", nil)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.pod.Add(netmove.Snapshot{Name: recognisable})
	f.returnAll(t, plan)
	f.pod.Remove("nri0") // which gave way
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

func TestImpostorIsNotReturned(t *testing.T) {
	f := newFixture()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1", Rules: []netmove.RuleRequest{}})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	f.pod.Remove("net1")
	impostor := plan[0].Before
	impostor.Name = "net1"
	f.pod.Add(impostor)
	before := f.String()
	if err := f.mover.Return(f.pod, &plan[0]); !errors.Is(err, netmove.ErrLost) {
		t.Errorf("error is %v, want ErrLost", err)
	}
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// The device is home without our doing, and its host name is an altname of its own.
func TestReturnOwnAltname(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	index := plan[0].PodIndex
	for _, err := range []error{
		f.pod.Rename(index, "theirs1"),
		f.pod.AddAltname(index, "eth1"),
		f.pod.Move(index, f.host, "theirs1", plan[0].Before.Identity.Index),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// The host gave the device's name, altname and index away while it was out.
func TestReturnNamesTaken(t *testing.T) {
	f := newFixture()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	taker := f.host.Add(netmove.Snapshot{Name: "eth1", Altnames: []string{"enp2s0"}})
	if taker.Identity.Index != plan[0].Before.Identity.Index {
		t.Fatalf("the taker has ifindex %d", taker.Identity.Index)
	}
	err := f.mover.Return(f.pod, &plan[0])
	if !errors.Is(err, netmove.ErrMisnamed) {
		t.Fatalf("error is %v, want ErrMisnamed", err)
	}
	home, err := netmove.Read(f.host, plan[0].Before.Identity.RecognisableName())
	if err != nil {
		t.Fatal(err)
	}
	if !home.Identity.Same(plan[0].Before.Identity) || !home.Flags.Up || len(home.Addresses) != 5 {
		t.Errorf("home is %+v", home)
	}
	f.host.Remove("eth1")
	f.returnAll(t, plan)
	// All is as before but the index, which stays taken.
	got, err := netmove.Read(f.host, "eth1")
	if err != nil {
		t.Fatal(err)
	}
	want := plan[0].Before
	want.Identity.Index = got.Identity.Index
	if diff := cmp.Diff(want, got.Snapshot, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmpopts.IgnoreFields(netmove.Snapshot{}, "Below")); diff != "" {
		t.Errorf("the device differs (-want +got):\n%s", diff)
	}
}

func TestTimedAddressesComeBackWithWhatIsLeft(t *testing.T) {
	for _, tc := range []struct {
		away time.Duration
		want string
	}{
		{100 * time.Second, "valid 200 preferred 200"},
		{301 * time.Second, ""},
	} {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(f.String(), "198.51.100.1") {
			t.Errorf("the timed address went to the pod:\n%s", f)
		}
		f.Sleep(tc.away)
		f.returnAll(t, plan)
		_, rest, found := strings.Cut(f.String(), "198.51.100.1/24")
		line, _, _ := strings.Cut(rest, "\n")
		if found != (tc.want != "") || !strings.Contains(line, tc.want) {
			t.Errorf("after %v: address there: %v, %q, want %q", tc.away, found, line, tc.want)
		}
	}
}

// The pod builds a device on ours and attaches programs; the host had a device
// on it and a program of its own.
func TestReturnIsStripped(t *testing.T) {
	for _, when := range []netmovetest.When{netmovetest.Never, netmovetest.Before, netmovetest.After, netmovetest.Absent} {
		for n := 1; ; n++ {
			f := newFixture()
			eth1, err := f.host.ByName("eth1")
			if err != nil {
				t.Fatal(err)
			}
			f.host.AttachProgram(eth1.Identity.Index, netmove.Program{Hook: netmove.XDPDriver, ID: 7})
			f.host.AttachProgram(eth1.Identity.Index, netmove.Program{Hook: netmove.TCXIngress, ID: 8, Link: 3})
			before := f.String()
			plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
			if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
				t.Fatal(err)
			}
			f.pod.AddUpper(f.pod, plan[0].PodIndex, netmove.Snapshot{Name: "mac1"})
			f.pod.AttachProgram(plan[0].PodIndex, netmove.Program{Hook: netmove.XDPGeneric, ID: 66})
			f.pod.AttachProgram(plan[0].PodIndex, netmove.Program{Hook: netmove.TCXIngress, ID: 67})
			f.pod.AttachProgram(plan[0].PodIndex, netmove.Program{Hook: netmove.TCXEgress, ID: 67, Link: 9})
			f.Fail(n, when)
			err = f.mover.Return(f.pod, &plan[0])
			calls := f.Calls()
			f.Fail(0, netmovetest.Never)
			f.returnAll(t, plan)
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d failed, error %v: the world differs (-want +got):\n%s", n, err, diff)
			}
			if calls < n || when == netmovetest.Never {
				break
			}
		}
	}
}

// A program that cannot be removed keeps the device down and without addresses,
// until it can.
func TestReturnTainted(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	f.pod.AttachProgram(plan[0].PodIndex, netmove.Program{Hook: netmove.XDPGeneric, ID: 66})
	inode := plan[0].Before.Identity.Inode
	f.Hold(inode, true)
	for range 2 {
		err := f.mover.Return(f.pod, &plan[0])
		if !errors.Is(err, netmove.ErrTainted) || !errors.Is(err, netmove.ErrDiffers) {
			t.Errorf("error is %v", err)
		}
		home, err := netmove.Read(f.host, "eth1")
		if err != nil || home.Flags.Up || len(home.Addresses) > 0 {
			t.Errorf("at home it is %+v, %v", home, err)
		}
	}
	f.Hold(inode, false)
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// The pod moves what it built on the device to namespaces of its own, with and
// without a process in them, and every step of the return fails once.
func TestReturnIsUnstacked(t *testing.T) {
	for _, when := range []netmovetest.When{netmovetest.Never, netmovetest.Before, netmovetest.After, netmovetest.Absent} {
		for n := 1; ; n++ {
			f := newFixture()
			eth1, err := f.host.ByName("eth1")
			if err != nil {
				t.Fatal(err)
			}
			f.host.AddUpper(f.host, eth1.Identity.Index, netmove.Snapshot{Name: "own1"})
			before := f.String()
			plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
			if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
				t.Fatal(err)
			}
			f.nest(plan[0].PodIndex, "mac1")
			f.nest(plan[0].PodIndex, "mac2").Enter()
			hidden := f.nest(plan[0].PodIndex, "mac3")
			hidden.Enter()
			hidden.Share()
			f.Fail(n, when)
			err = f.mover.Return(f.pod, &plan[0])
			calls := f.Calls()
			f.Fail(0, netmovetest.Never)
			if up := strings.Join(f.host.Burdened(), ""); strings.Contains(up, "mac") {
				t.Errorf("step %d failed: %q", n, up)
			}
			f.returnAll(t, plan)
			if diff := cmp.Diff(before, f.String()); diff != "" {
				t.Errorf("step %d failed, error %v: the world differs (-want +got):\n%s", n, err, diff)
			}
			if calls < n || when == netmovetest.Never {
				break
			}
		}
	}
}

func (f *fixture) nest(on int, name string) *netmovetest.Namespace {
	return f.pod.Nest(f.pod.AddUpper(f.pod, on, netmove.Snapshot{Name: name}).Identity.Index)
}

// What others had on the device before the pod was, stays; where it cannot be
// told whose a device is, that stays, and ours stays down until it is gone.
func TestUppersOfOthers(t *testing.T) {
	f := newFixture()
	eth1, err := f.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	others := f.AddNamespace("other")
	others.AddUpper(f.host, eth1.Identity.Index, netmove.Snapshot{Name: "mac1"})
	f.pod = f.AddNamespace("young pod")
	f.pod.Knows(others)
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	hidden := f.nest(plan[0].PodIndex, "mac3")
	hidden.Share()
	for range 2 {
		err := f.mover.Return(f.pod, &plan[0])
		if !errors.Is(err, netmove.ErrStacked) || errors.Is(err, netmove.ErrDiffers) {
			t.Errorf("error is %v", err)
		}
		home, err := netmove.Read(f.host, "eth1")
		if err != nil || home.Flags.Up || len(home.Addresses) > 0 {
			t.Errorf("at home it is %+v, %v", home, err)
		}
	}
	hidden.Release()
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// A program of the host's that the pod has removed is told, and is no reason to
// keep the device.
func TestProgramOfTheHostGone(t *testing.T) {
	f := newFixture()
	var log strings.Builder
	f.mover.Log = slog.New(slog.NewTextHandler(&log, nil))
	eth1, err := f.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	own := netmove.Program{Hook: netmove.TCXEgress, ID: 8}
	f.host.AttachProgram(eth1.Identity.Index, own)
	plan := f.mustPlan(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	if err := f.pod.Detach(plan[0].PodIndex, own); err != nil {
		t.Fatal(err)
	}
	f.returnAll(t, plan)
	if !strings.Contains(log.String(), "gone from the device") || !strings.Contains(log.String(), "tcx egress program 8") {
		t.Errorf("the log has %s", log.String())
	}
}
