package netmove

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What speaks against a plan is told for each device, before its own words.
func TestPlanRefused(t *testing.T) {
	t.Parallel()
	six := netip.MustParsePrefix("2001:db8::/32")
	for name, tc := range map[string]struct {
		request Request
		device  Device
		want    string
	}{
		"fits":      {Request{MTU: 65535}, Device{Snapshot: Snapshot{MTU: 1500, MinMTU: 68}}, ""},
		"smallest":  {Request{MTU: 68}, Device{Snapshot: Snapshot{MTU: 1500, MinMTU: 68, MaxMTU: 9000}}, ""},
		"largest":   {Request{MTU: 9000}, Device{Snapshot: Snapshot{MTU: 1500, MinMTU: 68, MaxMTU: 9000}}, ""},
		"too small": {Request{MTU: 67}, Device{Snapshot: Snapshot{MTU: 1500, MinMTU: 68, MaxMTU: 9000}}, `device "eth1": mtu 67 is outside the device's limits, 68 to 9000`},
		"small for a route": {
			Request{Routes: []RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8")}, {To: six}}},
			Device{Snapshot: Snapshot{MTU: 1279}},
			`device "eth1": mtu 1279 is too small for the route 2001:db8::/32: IPv6 needs 1280 bytes`,
		},
		"enough for a route": {Request{Routes: []RouteRequest{{To: six}}}, Device{Snapshot: Snapshot{MTU: 1280}}, ""},
		"bound":              {Request{}, Device{Facts: Facts{Role: Role{Immovable: true}}}, `device "eth1": device cannot move: the kernel binds it to its network namespace`},
		"bound kind": {
			Request{},
			Device{Snapshot: Snapshot{Identity: Identity{Kind: "bridge"}}, Facts: Facts{Role: Role{Immovable: true}}},
			`device "eth1": device cannot move: the kernel binds a bridge to its network namespace`,
		},
		"label": {
			Request{PodName: "net1234567890ab"},
			Device{Snapshot: Snapshot{Addresses: []Address{address("192.0.2.1/24", func(a *Address) { a.Label = "eth1:x" })}}},
			`device "eth1": address 192.0.2.1/24 would have the label "net1234567890ab:x", longer than 15 bytes: choose a shorter newName`,
		},
		"IPv6 without addresses of it": {Request{Sysctls: map[string]string{DisableIPv6: "1"}}, Device{Snapshot: Snapshot{Addresses: []Address{address("192.0.2.1/24")}}}, ""},
		"feature that is on":           {Request{Features: map[string]bool{"x": true}}, Device{Facts: Facts{Features: map[string]Feature{"x": {On: true, Fixed: true}}}}, ""},
		"feature that stays on":        {Request{Features: map[string]bool{"x": false}}, Device{Facts: Facts{Features: map[string]Feature{"x": {On: true, Fixed: true}}}}, `device "eth1": offload feature "x": the device cannot switch it off`},
		"size": {
			Request{GSOMaxSize: 10, GROMaxSize: 11},
			Device{Snapshot: Snapshot{Options: []Option{{Name: "gso_max_size"}, {Name: "gro_max_size"}}}, Facts: Facts{TSOMaxSize: 10}},
			"",
		},
		"size without a limit": {Request{GSOMaxSize: 10}, Device{Snapshot: Snapshot{Options: []Option{{Name: "gso_max_size"}}}}, ""},
		"hop on a link": {
			Request{Routes: []RouteRequest{
				{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.9")}, {To: netip.MustParsePrefix("192.0.2.0/24")},
			}}, Device{}, "",
		},
		"hop that counts as reachable": {Request{Routes: []RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8"), Via: netip.MustParseAddr("192.0.2.9"), OnLink: true}}}, Device{}, ""},
	} {
		tc.device.Name, tc.request.Device = "eth1", "eth1"
		plan, err := NewPlan([]Request{tc.request}, []Device{tc.device})
		if got := errorText(err); got != tc.want || (plan == nil) != (tc.want != "") {
			t.Errorf("%s: %v, error is\n%s\nwant\n%s", name, plan, got, tc.want)
		}
	}
}

// A plan in words is all that is going to happen.
func TestPlanText(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr
	bare := Attachment{Before: Snapshot{Name: "eth2"}, PodName: "eth2", Request: Request{Features: map[string]bool{"a": true}}}
	full := Attachment{
		Before:  Snapshot{Name: "eth1", Programs: []Program{{Hook: XDPDriver, ID: 7, Detached: true}, {Hook: TCXEgress, ID: 8}}},
		PodName: "net1", Addresses: []Address{address("192.0.2.1/24"), address("192.0.2.2/24")},
		Request: Request{
			MTU: 9000, MAC: MAC{2, 1}, GSOMaxSize: 5, GROIPv4MaxSize: 6, Features: map[string]bool{"rx-gro": false, "a": true},
			Sysctls:   map[string]string{"ipv4/b": "1", "ipv4/a": "0"},
			Announce:  new(true),
			Neighbors: []NeighborRequest{{ip("192.0.2.9"), MAC{2, 2}}},
			Routes:    []RouteRequest{{To: netip.MustParsePrefix("10.0.0.0/8")}},
			Rules:     []RuleRequest{{Table: 7}},
		},
		Entries: []Entry{{Table: TableRoute, Text: "10.1.0.0/16"}},
		Loss:    []Loss{{LossQdisc, "tbf"}},
	}
	want := `eth2 -> eth2, features a on, no addresses
eth1 -> net1, mtu 9000, mac 02:01, gsoMaxSize 5, groIPv4MaxSize 6, features a on rx-gro off, sysctl ipv4/a 0, sysctl ipv4/b 1, ` +
		`addresses 192.0.2.1/24 192.0.2.2/24, announced, neighbor 192.0.2.9 lladdr 02:02, route 10.0.0.0/8, rule table 7, route 10.1.0.0/16, without xdp driver program 7, loses qdisc (tbf)
`
	if diff := cmp.Diff(want, (Plan{bare, full}).String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The device below is named where it is the reason, and only there.
func TestLowerExplains(t *testing.T) {
	t.Parallel()
	down := &StepError{Device: "mv0", Step: "set up", Err: ErrLowerDown}
	other := &StepError{Device: "mv0", Step: "set up", Err: ErrBusy}
	for _, tc := range []struct {
		lower Lower
		err   error
		want  string
	}{
		{Lower{Name: "nic0"}, down, `device "mv0": set up: it is built on "nic0": the device below is down`},
		{Lower{}, down, `device "mv0": set up: the device below is down`},
		{Lower{Name: "nic0"}, other, `device "mv0": set up: the device must be down for it`},
		{Lower{Name: "nic0"}, ErrLowerDown, "the device below is down"},
	} {
		if got := errorText(tc.lower.explain(tc.err)); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	if down.Err != ErrLowerDown { //nolint:errorlint // the very one
		t.Error("the error itself was changed")
	}
}

// A program is the same by number, and by the link that holds it.
func TestProgramSame(t *testing.T) {
	t.Parallel()
	p := Program{Hook: TCXEgress, ID: 8, Link: 3}
	for name, tc := range map[string]struct {
		a, b Program
		want bool
	}{
		"itself":          {p, p, true},
		"exchanged":       {p, Program{Hook: TCXEgress, ID: 9, Link: 3}, true},
		"link not known":  {p, Program{Hook: TCXEgress, ID: 8}, true},
		"other hook":      {p, Program{Hook: TCXIngress, ID: 8, Link: 3}, false},
		"other":           {p, Program{Hook: TCXEgress, ID: 9, Link: 4}, false},
		"other, no links": {Program{Hook: TCXEgress, ID: 8}, Program{Hook: TCXEgress, ID: 9}, false},
	} {
		if got := tc.a.same(tc.b); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	host := []Program{{Hook: XDPDriver, ID: 7}}
	if list := detached(Request{DetachBPF: true}, host); host[0].Detached || !list[0].Detached {
		t.Errorf("the host has %v, the pod %v", host, list)
	}
	if list := detached(Request{}, host); list[0].Detached {
		t.Errorf("the pod has %v", list)
	}
}

func TestPartsOfARecord(t *testing.T) {
	t.Parallel()
	p := PartSysctls
	if err := p.UnmarshalText([]byte("link entries")); err != nil || p != PartLink|PartEntries || p.String() != "link entries" {
		t.Errorf("read %q, %v", p, err)
	}
	if err := p.UnmarshalText([]byte("wheels")); !strings.Contains(errorText(err), `part "wheels" of a device is not known`) {
		t.Errorf("error is %v", err)
	}
}

// An option that is not known now, or whose group was not, is not one that was added.
func TestAddedOptions(t *testing.T) {
	t.Parallel()
	want := []Option{{Name: "a.1"}, {Name: "b", Unknown: true}}
	have := []Option{{Name: "a.1", Value: RawValue{1}}, {Name: "a.2"}, {Name: "b.5"}, {Name: "c.1", Unknown: true}, {Name: "d"}}
	var got []string
	for _, o := range added(want, have) {
		got = append(got, o.Name)
	}
	if !slices.Equal(got, []string{"a.2", "d"}) {
		t.Errorf("added are %v", got)
	}
}

// Kinds that are built on a device of the namespace share it with what is built on them.
func TestSharesBelow(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]bool{"macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true, "vlan": false, "": false} {
		if got := (Snapshot{Below: 3, Identity: Identity{Kind: kind}}).sharesBelow(); got != want {
			t.Errorf("%s: %v", kind, got)
		}
		if (Snapshot{Identity: Identity{Kind: kind}}).sharesBelow() {
			t.Errorf("%s shares nothing", kind)
		}
	}
}
