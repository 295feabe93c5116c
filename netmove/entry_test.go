package netmove

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func routeTo(dst string, edit ...func(*Route)) Route {
	r := Route{Dst: netip.MustParsePrefix(dst), Unicast: true}
	for _, f := range edit {
		f(&r)
	}
	return r
}

func via(hops ...string) func(*Route) {
	return func(r *Route) {
		for _, h := range hops {
			r.Via = append(r.Via, netip.MustParseAddr(h))
		}
	}
}

func TestRouteCarriedBy(t *testing.T) {
	t.Parallel()
	addrs := []Address{address("192.0.2.1/24"), address("198.51.100.1/32", peer("198.51.100.2"))}
	onLink := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	for name, tc := range map[string]struct {
		route Route
		want  bool
	}{
		"on the link":               {routeTo("10.0.0.0/8"), true},
		"of another family":         {routeTo("2001:db8::/32"), false},
		"blackhole":                 {routeTo("10.0.0.0/8", func(r *Route) { r.Unicast = false }), false},
		"of several devices":        {routeTo("10.0.0.0/8", func(r *Route) { r.Shared = true }), false},
		"reached":                   {routeTo("10.0.0.0/8", via("192.0.2.2")), true},
		"reached by a peer":         {routeTo("10.0.0.0/8", via("198.51.100.2")), true},
		"reached by a route":        {routeTo("10.0.0.0/8", via("203.0.113.9")), true},
		"not reached":               {routeTo("10.0.0.0/8", via("10.9.9.9")), false},
		"not reached by one of two": {routeTo("10.0.0.0/8", via("192.0.2.2", "10.9.9.9")), false},
		"itself":                    {routeTo("10.0.0.0/8", via("192.0.2.1")), false},
		"taken to be reached":       {routeTo("10.0.0.0/8", via("10.9.9.9"), func(r *Route) { r.OnLink = true }), true},
		"link-local":                {routeTo("10.0.0.0/8", via("fe80::1")), true},
		"link-local of IPv4":        {routeTo("10.0.0.0/8", via("169.254.0.1")), false},
	} {
		if got := tc.route.carriedBy(addrs, onLink); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Routes that the addresses carry go along, and those that are reached by these; of routes
// to one prefix the first stands alone, whatever it was on the host.
func TestEntriesAlong(t *testing.T) {
	t.Parallel()
	entry := func(text string, r Route) Entry {
		return Entry{Table: TableRoute, Text: text, Route: r, Place: PlaceLast}
	}
	link := entry("link", routeTo("203.0.113.0/24"))
	host := []Entry{
		entry("early", routeTo("10.0.0.0/8", via("203.0.113.9"))),
		link,
		entry("late", routeTo("10.1.0.0/16", via("203.0.113.9"))),
		entry("second", routeTo("10.1.0.0/16", via("192.0.2.9"))),
		{Table: TableNeighbor, Text: "neighbor"},
		{Table: TableNeighbor, Text: "proxy", Proxy: true},
		{Table: TableFDB, Text: "fdb"},
	}
	addrs := []Address{address("192.0.2.1/24")}
	for name, tc := range map[string]struct {
		request Request
		want    []string
	}{
		"as they are":     {Request{}, []string{"link ", "late ", "second last", "neighbor "}},
		"other routes":    {Request{Routes: []RouteRequest{}}, []string{"neighbor "}},
		"other neighbors": {Request{Neighbors: []NeighborRequest{}}, []string{"link ", "late ", "second last"}},
	} {
		var got []string
		a := Attachment{Request: tc.request, Addresses: addrs}
		a.entriesAlong(host)
		for _, e := range a.Entries {
			got = append(got, e.Text+" "+string(e.Place))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A default route of main or local stays, and so does a source address that is none of the
// device's in the pod.
func TestRouteAlong(t *testing.T) {
	t.Parallel()
	from := func(source string) func(*Route) {
		return func(r *Route) {
			r.Source = netip.MustParseAddr(source)
			r.Unsourced = &Entry{Table: TableRoute, Text: "unsourced", Route: Route{Dst: r.Dst}}
		}
	}
	in := func(table uint32) func(*Route) { return func(r *Route) { r.Table = table } }
	for name, tc := range map[string]struct {
		route Route
		want  string
	}{
		"its own source":         {routeTo("10.0.0.0/8", from("192.0.2.1")), "whole"},
		"source of another's":    {routeTo("10.0.0.0/8", from("192.0.2.2")), "unsourced"},
		"default of main":        {routeTo("0.0.0.0/0", in(254)), ""},
		"default of local":       {routeTo("0.0.0.0/0", in(255)), ""},
		"default of another":     {routeTo("0.0.0.0/0", in(1001)), "whole"},
		"no default route":       {routeTo("10.0.0.0/8", in(254)), "whole"},
		"IPv6 without addresses": {routeTo("::/0", in(254)), ""},
	} {
		a := Attachment{Addresses: []Address{address("192.0.2.1/24")}}
		a.entriesAlong([]Entry{{Table: TableRoute, Text: "whole", Route: tc.route}})
		var got string
		for _, e := range a.Entries {
			got += e.Text
		}
		if got != tc.want {
			t.Errorf("%s: %q goes along, want %q", name, got, tc.want)
		}
	}
}

// Entries are the same by table and message, and end when their time is there.
func TestEntries(t *testing.T) {
	t.Parallel()
	a, b := Entry{Table: TableFDB, Message: []byte("a")}, Entry{Table: TableFDB, Message: []byte("b")}
	other := Entry{Table: TableMDB, Message: []byte("a")}
	if !a.Same(Entry{Table: TableFDB, Text: "x", Message: []byte("a")}) || a.Same(b) || a.Same(other) {
		t.Error("entries are the same by table and message")
	}
	if got := missing([]Entry{a, b, other}, []Entry{a}); len(got) != 2 || !got[0].Same(b) || !got[1].Same(other) {
		t.Errorf("missing are %v", got)
	}
	s := Snapshot{Entries: []Entry{{Text: "lasting"}, {Text: "ended", Until: 5}, {Text: "ends", Until: 6}, {Text: "later", Until: 7}}}
	var got []string
	for _, e := range s.entriesAt(6) {
		got = append(got, e.Text)
	}
	if diff := cmp.Diff([]string{"lasting", "later"}, got); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if d := BootOffset(time.Second); len((Snapshot{Entries: []Entry{{Until: d}}}).entriesAt(d-1)) != 1 {
		t.Error("an entry ended early")
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	travels := map[Table]bool{TableVNI: true, TableVXLAN: true, TableVXLANMDB: true, TablePRL: true}
	for _, table := range Tables() {
		if table.Travels() != travels[table] {
			t.Errorf("%s travels: %v", table, table.Travels())
		}
	}
	if (Identity{Kind: "vxlan"}).filters() || !(Identity{Kind: "vlan"}).filters() {
		t.Error("a vxlan alone takes what comes")
	}
}

// Whatever there is of IPv6 needs it, unless it is asked for.
func TestNeedsIPv6(t *testing.T) {
	t.Parallel()
	six := netip.MustParseAddr("2001:db8::1")
	for name, tc := range map[string]struct {
		a    Attachment
		want bool
	}{
		"nothing":       {Attachment{}, false},
		"IPv4":          {Attachment{Addresses: []Address{address("192.0.2.1/24")}, Entries: []Entry{{Route: routeTo("10.0.0.0/8")}}}, false},
		"address":       {Attachment{Addresses: []Address{address("2001:db8::1/64")}}, true},
		"rule":          {Attachment{Entries: []Entry{ruleEntry("six", PolicyRule{IPv6: true})}}, true},
		"route":         {Attachment{Entries: []Entry{{Route: routeTo("2001:db8::/64")}}}, true},
		"neighbor":      {Attachment{Entries: []Entry{{Neighbor: six}}}, true},
		"asked route":   {Attachment{Request: Request{Routes: []RouteRequest{{To: netip.PrefixFrom(six, 64)}}}}, true},
		"next hop":      {Attachment{Request: Request{Routes: []RouteRequest{{Via: six}}}}, true},
		"asked entry":   {Attachment{Request: Request{Neighbors: []NeighborRequest{{IP: six}}}}, true},
		"asked for":     {Attachment{Request: Request{Sysctls: map[string]string{DisableIPv6: "0"}}, Entries: []Entry{{Neighbor: six}}}, false},
		"not asked for": {Attachment{Request: Request{Sysctls: map[string]string{DisableIPv6: "1"}}, Entries: []Entry{{Neighbor: six}}}, true},
	} {
		if got := needsIPv6(tc.a); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
