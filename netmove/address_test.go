package netmove

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func address(cidr string, edit ...func(*Address)) Address {
	a := NewAddress(netip.MustParsePrefix(cidr))
	for _, f := range edit {
		f(&a)
	}
	return a
}

func flagged(bits uint32) func(*Address) { return func(a *Address) { a.Flags |= bits } }

func protocol(p uint8) func(*Address) { return func(a *Address) { a.Protocol = p } }

func peer(ip string) func(*Address) { return func(a *Address) { a.Peer = netip.MustParseAddr(ip) } }

func lasting(valid, preferred uint32) func(*Address) {
	return func(a *Address) { a.Valid, a.Preferred = valid, preferred }
}

func TestAddressMovesAlong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		address                  Address
		along, byKernel, refused bool
	}{
		"permanent":               {address("192.0.2.1/24"), true, false, false},
		"permanent IPv6":          {address("2001:db8::1/64"), true, false, false},
		"a lease":                 {address("192.0.2.1/24", lasting(60, 60)), false, false, false},
		"of the link":             {address("192.0.2.1/24", func(a *Address) { a.Scope = ScopeLink }), false, false, false},
		"of lo":                   {address("127.0.0.1/8", protocol(1)), false, true, false},
		"link-local":              {address("fe80::1/64", protocol(3)), false, true, false},
		"of a router":             {address("2001:db8::1/64", protocol(2)), true, false, false},
		"temporary":               {address("2001:db8::1/64", flagged(FlagTemporary)), false, true, false},
		"secondary":               {address("192.0.2.1/24", flagged(FlagSecondary)), true, false, false},
		"refused":                 {address("2001:db8::1/64", flagged(FlagDADFailed)), false, false, true},
		"IPv4 with the same bits": {address("192.0.2.1/24", flagged(FlagDADFailed)), true, false, false},
	} {
		a := tc.address
		if a.movesAlong() != tc.along || a.madeByKernel() != tc.byKernel || a.refused() != tc.refused {
			t.Errorf("%s: moves along: %v, made by the kernel: %v, refused: %v", name, a.movesAlong(), a.madeByKernel(), a.refused())
		}
	}
}

func TestRelabel(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]string{
		"": "", "eth1": "net1", "eth1:x": "net1:x", "eth10": "eth10", "other": "other", "eth1:1234567890": "net1:1234567890",
	} {
		got, err := address("192.0.2.1/24", func(a *Address) { a.Label = Text(label) }).relabel("eth1", "net1")
		if err != nil || string(got.Label) != want {
			t.Errorf("%q becomes %q, %v; want %q", label, got.Label, err, want)
		}
	}
	_, err := address("192.0.2.1/24", func(a *Address) { a.Label = "eth1:x" }).relabel("eth1", "net1234567890a")
	if err == nil || !strings.Contains(err.Error(), `would have the label "net1234567890a:x", longer than 15 bytes`) {
		t.Errorf("a label of 16 bytes: %v", err)
	}
}

// Time passes for both lifetimes, and an address ends with the valid one.
func TestAddressAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		valid, preferred         uint32
		elapsed                  time.Duration
		leftValid, leftPreferred uint32
		ok                       bool
	}{
		{Forever, Forever, time.Hour, Forever, Forever, true},
		{Forever, 10, 4 * time.Second, Forever, 6, true},
		{100, 10, 10 * time.Second, 90, 0, true},
		{100, 10, 99*time.Second + 999*time.Millisecond, 1, 0, true},
		{100, 100, 100 * time.Second, 0, 0, false},
		{100, 100, 101 * time.Second, 0, 0, false},
		{100, 10, -time.Second, 101, 11, true},
	} {
		got, ok := address("192.0.2.1/24", lasting(tc.valid, tc.preferred)).after(tc.elapsed)
		if ok != tc.ok || got.Valid != tc.leftValid || got.Preferred != tc.leftPreferred {
			t.Errorf("%d/%d after %v: %d/%d, %v", tc.valid, tc.preferred, tc.elapsed, got.Valid, got.Preferred, ok)
		}
	}
}

// What the kernel adds by itself makes no other address, and what a user gave does.
func TestAddressAppears(t *testing.T) {
	t.Parallel()
	meant := address("192.0.2.1/24")
	labeled := address("192.0.2.1/24", func(a *Address) { a.Label, a.Metric = "eth1", 5 })
	for name, tc := range map[string]struct {
		meant, read Address
		want        bool
	}{
		"same":                   {meant, meant, true},
		"label by the kernel":    {meant, labeled, true},
		"label and metric gone":  {labeled, meant, false},
		"metric gone":            {labeled, address("192.0.2.1/24", func(a *Address) { a.Label = "eth1" }), false},
		"state":                  {meant, address("192.0.2.1/24", flagged(FlagSecondary|FlagTentative)), true},
		"flag of a user's":       {meant, address("192.0.2.1/24", flagged(FlagNoPrefixRoute)), false},
		"other prefix":           {meant, address("192.0.2.1/25"), false},
		"other peer":             {address("192.0.2.1/32", peer("192.0.2.2")), address("192.0.2.1/32", peer("192.0.2.3")), false},
		"limited":                {meant, address("192.0.2.1/24", lasting(60, 60)), false},
		"limited, and less left": {address("192.0.2.1/24", lasting(60, 60)), address("192.0.2.1/24", lasting(50, 40)), true},
		"preferred less":         {meant, address("192.0.2.1/24", lasting(Forever, 9)), true},
	} {
		if got := tc.meant.appears(tc.read); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAddressText(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Address{
		"192.0.2.1/24":                address("192.0.2.1/24"),
		"192.0.2.1/32 peer 192.0.2.2": address("192.0.2.1/32", peer("192.0.2.2")),
	} {
		if got := a.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAddressOnLink(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Address{
		"192.0.2.0/24":    address("192.0.2.1/24"),
		"198.51.100.0/24": address("192.0.2.1/24", peer("198.51.100.7")),
		"invalid Prefix":  address("192.0.2.1/24", flagged(FlagNoPrefixRoute)),
	} {
		if got := a.onLink().String(); got != want {
			t.Errorf("%s: %s is on the link, want %s", a, got, want)
		}
	}
}

// A duplicate that was found is asked for again, and one that is not is usable at once.
func TestAddressSteps(t *testing.T) {
	t.Parallel()
	steps := addressSteps(nil, 1, []Address{
		address("192.0.2.1/24"), address("2001:db8::2/64"), address("2001:db8::1/64", flagged(FlagDADFailed)),
		address("2001:db8::3/64", flagged(FlagNoDAD)), address("192.0.2.2/24"),
	}, true)
	var got []string
	for _, s := range steps {
		got = append(got, s.what)
	}
	want := []string{
		"add address 192.0.2.1/24", "add address 192.0.2.2/24", "set up",
		"add address 2001:db8::3/64", "add address 2001:db8::1/64", "add address 2001:db8::2/64", "settle address 2001:db8::2/64",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}
