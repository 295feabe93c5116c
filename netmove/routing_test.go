package netmove

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Which rules the node's own unmarked traffic comes to the table of.
func TestRuleLeads(t *testing.T) {
	t.Parallel()
	prefix := netip.MustParsePrefix
	for name, tc := range map[string]struct {
		rule PolicyRule
		want bool
	}{
		"all":                 {PolicyRule{Table: 7}, true},
		"all of IPv6":         {PolicyRule{Table: 7, IPv6: true}, true},
		"no table":            {PolicyRule{}, false},
		"other traffic":       {PolicyRule{Table: 7, Elsewhere: true}, false},
		"a part":              {PolicyRule{Table: 7, Part: true}, true},
		"marked":              {PolicyRule{Table: 7, Mark: 1, Mask: 1}, false},
		"unmarked":            {PolicyRule{Table: 7, Mask: 1}, true},
		"any mark":            {PolicyRule{Table: 7, Mark: 1}, true},
		"from all":            {PolicyRule{Table: 7, From: prefix("0.0.0.0/0")}, true},
		"from all of IPv6":    {PolicyRule{Table: 7, From: prefix("::/0"), IPv6: true}, true},
		"from an address":     {PolicyRule{Table: 7, From: prefix("192.0.2.1/32")}, false},
		"to one half":         {PolicyRule{Table: 7, To: prefix("0.0.0.0/1")}, true},
		"to a network":        {PolicyRule{Table: 7, To: prefix("224.0.0.0/3")}, false},
		"to global IPv6":      {PolicyRule{Table: 7, To: prefix("2000::/3"), IPv6: true}, true},
		"to a part of IPv6":   {PolicyRule{Table: 7, To: prefix("2001::/16"), IPv6: true}, false},
		"not all":             {PolicyRule{Table: 7, Invert: true}, false},
		"not from an address": {PolicyRule{Table: 7, Invert: true, From: prefix("192.0.2.1/32")}, true},
		"not a part":          {PolicyRule{Table: 7, Invert: true, Part: true}, true},
		"not to one half":     {PolicyRule{Table: 7, Invert: true, To: prefix("0.0.0.0/1")}, true},
		"not, and no table":   {PolicyRule{Invert: true, Part: true}, false},
	} {
		if got := tc.rule.leads(tc.rule.IPv6); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
		if tc.rule.leads(!tc.rule.IPv6) {
			t.Errorf("%s: it leads another family", name)
		}
	}
}

// A table counts once, and that of the node's own addresses has no default route.
func TestRoutingTables(t *testing.T) {
	t.Parallel()
	r := Routing{Rules: []Entry{
		ruleEntry("local", PolicyRule{Table: 255}),
		ruleEntry("marked", PolicyRule{Table: 8, Mark: 1, Mask: 1}),
		ruleEntry("own", PolicyRule{Table: 7}),
		ruleEntry("main", PolicyRule{Table: 254}),
		ruleEntry("again", PolicyRule{Table: 7, Part: true}),
		ruleEntry("six", PolicyRule{Table: 6, IPv6: true}),
	}}
	if diff := cmp.Diff([]uint32{254, 7}, r.Tables(false)); diff != "" {
		t.Errorf("IPv4 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint32{254, 6}, r.Tables(true)); diff != "" {
		t.Errorf("IPv6 (-want +got):\n%s", diff)
	}
}

// Of routes that share everything else those of the lowest metric are taken, in any order.
func TestUplinkByMetric(t *testing.T) {
	t.Parallel()
	to := netip.MustParsePrefix("0.0.0.0/0")
	r := Routing{
		Rules: []Entry{{Rule: PolicyRule{Table: 7}}, {Rule: PolicyRule{Table: 9}}},
		Defaults: []DefaultRoute{
			{To: to, Table: 254, Metric: 5},
			{To: to, Table: 254, Metric: 3},
			{To: to, Table: 254, Metric: 3, TOS: 8},
			{To: to, Table: 254, Metric: 3},
			{To: to, Table: 254, Metric: 4},
			{To: to, Table: 8}, // no rule leads to that one
		},
	}
	best, worse := r.Uplink()
	texts := func(list []DefaultRoute) (words []string) {
		for _, d := range list {
			words = append(words, d.String())
		}
		return words
	}
	metric := func(text string) string { return "default metric " + text + " table main" }
	if diff := cmp.Diff([]string{metric("3"), metric("3"), metric("3")}, texts(best)); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{metric("5"), metric("4")}, texts(worse)); diff != "" {
		t.Errorf("beside them (-want +got):\n%s", diff)
	}
}

func TestDefaultRouteText(t *testing.T) {
	t.Parallel()
	prefix, ip := netip.MustParsePrefix, netip.MustParseAddr
	for want, d := range map[string]DefaultRoute{
		"default table main":     {To: prefix("0.0.0.0/0"), Table: 254},
		"-6 default table 7":     {To: prefix("::/0"), Table: 7},
		"128.0.0.0/1 table main": {To: prefix("128.0.0.0/1"), Table: 254},
		"default via 192.0.2.1 via 192.0.2.2 src 192.0.2.9 metric 1 table main": {
			To: prefix("0.0.0.0/0"), Table: 254, Metric: 1, Via: []netip.Addr{ip("192.0.2.1"), ip("192.0.2.2")}, Source: ip("192.0.2.9"),
		},
		"-6 default from 2001:db8::/64 table main": {To: prefix("::/0"), From: prefix("2001:db8::/64"), Table: 254},
	} {
		if got := d.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestIsDefault(t *testing.T) {
	t.Parallel()
	for bits := range 5 {
		if IsDefault(false, bits) != (bits <= 2) || IsDefault(true, bits) != (bits <= 3) {
			t.Errorf("%d bits: IPv4 %v, IPv6 %v", bits, IsDefault(false, bits), IsDefault(true, bits))
		}
	}
}
