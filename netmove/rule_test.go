package netmove

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ruleEntry(text string, r PolicyRule) Entry {
	r.Suppress = -1
	return Entry{Table: TableRule, Text: text, Message: []byte(text), Rule: r}
}

func single(addr string) netip.Prefix {
	ip := netip.MustParseAddr(addr)
	return netip.PrefixFrom(ip, ip.BitLen())
}

// Rules about the device's addresses go along if the pod can have them.
func TestRulesAlong(t *testing.T) {
	t.Parallel()
	own := single("192.0.2.1")
	host := []Entry{
		ruleEntry("from", PolicyRule{From: own, Table: 1001, Priority: 1}),
		ruleEntry("to", PolicyRule{To: single("2001:db8::1"), Table: 1001, Priority: 2, IPv6: true}),
		ruleEntry("marked", PolicyRule{From: own, Table: 1001, Mark: 1, Mask: 1, Part: true, Priority: 3}),
		ruleEntry("between", PolicyRule{From: single("192.0.2.2"), To: own, Table: 1001, Priority: 4}),
		ruleEntry("another", PolicyRule{From: single("192.0.2.2"), Table: 1001}),
		ruleEntry("network", PolicyRule{From: netip.MustParsePrefix("192.0.2.1/24"), Table: 1001}),
		ruleEntry("stays", PolicyRule{From: single("198.51.100.1"), Table: 1001}),
		ruleEntry("inverted", PolicyRule{From: own, Table: 1001, Invert: true}),
		ruleEntry("all", PolicyRule{Table: 1001}),
		ruleEntry("bound", PolicyRule{From: own, Table: 1001, Elsewhere: true}),
		ruleEntry("blackhole", PolicyRule{From: own}),
	}
	for name, tc := range map[string]struct {
		request    Request
		want, left string
	}{
		"as they are": {Request{}, "from to marked between", "bound blackhole"},
		"none":        {Request{Rules: []RuleRequest{}}, "", ""},
	} {
		a := Attachment{Request: tc.request, Addresses: []Address{address("192.0.2.1/24"), address("2001:db8::1/64")}}
		about := RulesAbout(host, []netip.Addr{own.Addr(), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("198.51.100.1")})
		a.rulesAlong(about)
		var rules, got, left []string
		for _, e := range about {
			rules = append(rules, e.Text)
		}
		if diff := cmp.Diff("from to marked between stays bound blackhole", strings.Join(rules, " ")); diff != "" {
			t.Errorf("rules about its addresses on the host (-want +got):\n%s", diff)
		}
		for _, e := range a.Entries {
			got = append(got, e.Text)
		}
		for _, d := range a.Left {
			left = append(left, strings.Fields(d.String())[1])
		}
		if diff := cmp.Diff(tc.want+"|"+tc.left, strings.Join(got, " ")+"|"+strings.Join(left, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What is asked for is refused beside rules of the pod's, and what would go along stays.
func TestCheckRules(t *testing.T) {
	t.Parallel()
	pod := []Entry{
		ruleEntry("from all lookup 255 priority 0", PolicyRule{Table: 255}),
		ruleEntry("from 192.0.2.9/32 lookup 7 priority 100", PolicyRule{From: single("192.0.2.9"), Table: 7, Priority: 100}),
		ruleEntry("fwmark 0x1/0xffffffff lookup 7 priority 200", PolicyRule{Mark: 1, Mask: ^uint32(0), Table: 7, Priority: 200, IPv6: true}),
		ruleEntry("from all lookup 9 priority 300", PolicyRule{Table: 9, Priority: 300}),
		ruleEntry("from all lookup 10 priority 400", PolicyRule{Table: 10, Priority: 400, IPv6: true}),
	}
	for name, tc := range map[string]struct {
		rule RuleRequest
		want string
	}{
		"free":              {RuleRequest{From: single("192.0.2.1"), Table: 7, Priority: 101}, ""},
		"anywhere":          {RuleRequest{From: single("192.0.2.1"), Table: 7}, ""},
		"another family":    {RuleRequest{From: single("2001:db8::1"), Table: 7, Priority: 100}, ""},
		"its priority":      {RuleRequest{From: single("192.0.2.1"), Table: 7, Priority: 100}, "the pod has a rule of that priority"},
		"both families":     {RuleRequest{FwMark: 2, Table: 7, Priority: 200}, "the pod has a rule of that priority"},
		"the same":          {RuleRequest{From: single("192.0.2.9"), Table: 7, Priority: 100}, "the pod has it already"},
		"the same anywhere": {RuleRequest{From: single("192.0.2.9"), Table: 7}, "the pod has it already"},
		"the same mark":     {RuleRequest{FwMark: 1, Table: 7}, "the pod has it already"},
		"the same later":    {RuleRequest{From: single("192.0.2.9"), Table: 7, Priority: 101}, ""},
		"the same for all":  {RuleRequest{From: netip.MustParsePrefix("0.0.0.0/0"), Table: 9}, "the pod has it already"},
		"for all of IPv4":   {RuleRequest{From: netip.MustParsePrefix("0.0.0.0/0"), Table: 10}, ""},
		"another table":     {RuleRequest{From: single("192.0.2.9"), Table: 8}, ""},
	} {
		a := Attachment{Request: Request{Rules: []RuleRequest{tc.rule}}}
		err := a.checkRules(pod)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	a := Attachment{Entries: []Entry{
		ruleEntry("clashes", PolicyRule{From: single("192.0.2.1"), Table: 7, Priority: 100}),
		ruleEntry("stands", PolicyRule{From: single("192.0.2.1"), Table: 7, Priority: 200}),
		{Table: TableRoute, Text: "route"},
	}}
	err := a.checkRules(pod)
	if len(a.Entries) != 2 || len(a.Left) != 1 || !strings.Contains(a.Left[0].String(), "clashes stays") || errors.Join(err) != nil {
		t.Errorf("%v go along, told %v, %v", a.Entries, a.Left, err)
	}
}
