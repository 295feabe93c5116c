package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Struct fib_rule_hdr of linux/fib_rules.h.
const (
	sizeofRuleHdr = 12
	ruleFamily    = 0 // offsets
	ruleDstLen    = 1
	ruleSrcLen    = 2
	ruleTOS       = 3
	ruleTable     = 4
	ruleAction    = 7
	ruleFlags     = 8

	fraDSCP      = 25 // FRA_DSCP, Linux 6.13
	fraFlowlabel = 26 // FRA_FLOWLABEL, Linux 6.14
)

// families are those that the rule is for.
func families(r netmove.RuleRequest) []uint8 {
	for _, p := range []struct{ valid, is6 bool }{
		{r.From.IsValid(), r.From.Addr().Is6()}, {r.To.IsValid(), r.To.Addr().Is6()},
	} {
		if p.valid {
			return []uint8{family(p.is6)}
		}
	}
	return []uint8{unix.AF_INET, unix.AF_INET6}
}

// AddRule makes a rule. One for both families is made for IPv4 alone on a kernel
// without IPv6.
func (ns *Namespace) AddRule(r netmove.RuleRequest) error {
	list := families(r)
	for _, f := range list {
		err := ns.create(unix.RTM_NEWRULE, ruleMessage(f, r))
		if len(list) > 1 && f == unix.AF_INET6 && withoutFamily(err) {
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// withoutFamily reports whether the kernel has no such family.
func withoutFamily(err error) bool { return is(err, unix.EAFNOSUPPORT, unix.EOPNOTSUPP) }

func ruleMessage(family uint8, r netmove.RuleRequest) message {
	msg := message{fixed: make([]byte, sizeofRuleHdr)}
	msg.fixed[ruleFamily] = family
	msg.fixed[ruleTable] = smallTable(r.Table, unix.RT_TABLE_UNSPEC)
	msg.fixed[ruleAction] = unix.FR_ACT_TO_TBL
	if r.From.IsValid() && r.From.Bits() > 0 {
		msg.fixed[ruleSrcLen] = uint8(r.From.Bits())
		msg.add(unix.FRA_SRC, r.From.Addr().AsSlice())
	}
	if r.To.IsValid() && r.To.Bits() > 0 {
		msg.fixed[ruleDstLen] = uint8(r.To.Bits())
		msg.add(unix.FRA_DST, r.To.Addr().AsSlice())
	}
	msg.addNumber(unix.FRA_PRIORITY, r.Priority)
	msg.addNumber(unix.FRA_FWMARK, r.FwMark)
	msg.addNumber(unix.FRA_TABLE, r.Table)
	msg.add(unix.FRA_PROTOCOL, []byte{unix.RTPROT_STATIC})
	return msg
}

// DropRule removes that rule.
func (ns *Namespace) DropRule(r netmove.RuleRequest) error {
	found, err := ns.findRule(r)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return netmove.ErrNotFound
	}
	var errs []error
	for _, msg := range found {
		// What was read, and not what was asked for: that would be any rule with
		// these selectors and more (rule_find of net/core/fib_rules.c).
		if err := ns.request(unix.RTM_DELRULE, 0, msg.bytes()); !is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ruleMessages reads the rules of a family, which is all that the kernel filters them by.
func (ns *Namespace) ruleMessages(family uint8) (list []message, err error) {
	hdr := make([]byte, sizeofRuleHdr)
	hdr[ruleFamily] = family
	dumped, err := ns.dumpOf(unix.RTM_GETRULE, unix.RTM_NEWRULE, hdr)
	if withoutFamily(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	for _, d := range dumped {
		msg, err := parseMessage(d, sizeofRuleHdr)
		if err != nil {
			return nil, err
		}
		list = append(list, msg)
	}
	return list, nil
}

// findRule reads the rule, one message a family.
func (ns *Namespace) findRule(r netmove.RuleRequest) (found []message, err error) {
	for _, f := range families(r) {
		msgs, err := ns.ruleMessages(f)
		if err != nil {
			return nil, err
		}
		for _, msg := range msgs {
			if msg.isRule(ruleMessage(f, r)) {
				found = append(found, msg)
				break
			}
		}
	}
	return found, nil
}

// isRule reports whether a rule that was read is the one that would be made: with nothing
// more to it, and with the priority that is asked for, if any.
func (m *message) isRule(want message) bool {
	const key = 4 // the first fields of the header: family, lengths, TOS
	if !bytes.Equal(m.fixed[:key], want.fixed[:key]) || !bytes.Equal(m.fixed[ruleAction:], want.fixed[ruleAction:]) {
		return false
	}
	for _, typ := range []uint16{unix.FRA_SRC, unix.FRA_DST, unix.FRA_FWMARK, unix.FRA_TABLE, unix.FRA_PRIORITY} {
		free := typ == unix.FRA_PRIORITY && want.attribute(typ) == nil
		if !free && !bytes.Equal(m.attribute(typ), want.attribute(typ)) {
			return false
		}
	}
	return !slices.ContainsFunc(m.attrs, func(a attribute) bool {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case unix.FRA_SRC, unix.FRA_DST, unix.FRA_FWMARK, unix.FRA_TABLE, unix.FRA_PRIORITY, unix.FRA_PROTOCOL, unix.FRA_PAD:
			return false
		case unix.FRA_FWMASK, unix.FRA_SUPPRESS_PREFIXLEN: // all bits of the mark; none suppressed
			return u32(a.Value) != ^uint32(0)
		}
		return true
	})
}

// Rules reads the namespace's policy rules.
func (ns *Namespace) Rules() ([]netmove.Entry, error) {
	var list []netmove.Entry
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		msgs, err := ns.ruleMessages(family)
		if err != nil {
			return nil, err
		}
		for _, msg := range msgs {
			list = append(list, ruleEntry(msg))
		}
	}
	return list, nil
}

// ruleEntry makes an entry of a rule that was read.
func ruleEntry(msg message) netmove.Entry {
	rule := msg.policyRule()
	flags := nl.NativeEndian().Uint32(msg.fixed[ruleFlags:])
	nl.NativeEndian().PutUint32(msg.fixed[ruleFlags:], flags&unix.FIB_RULE_INVERT) // the others report a state
	msg.drop(unix.FRA_PAD)
	return netmove.Entry{Table: netmove.TableRule, Text: ruleText(rule), Message: msg.bytes(), Rule: rule}
}

// ruleText is the rule in the words of ip-rule(8), as far as it tells rules apart.
func ruleText(r netmove.PolicyRule) string {
	var b strings.Builder
	if r.Invert {
		b.WriteString("not ")
	}
	if r.From.IsValid() {
		fmt.Fprintf(&b, "from %s ", r.From)
	}
	if r.To.IsValid() {
		fmt.Fprintf(&b, "to %s ", r.To)
	}
	if r.Mask != 0 {
		fmt.Fprintf(&b, "fwmark %#x/%#x ", r.Mark, r.Mask)
	}
	if r.Table != 0 {
		fmt.Fprintf(&b, "lookup %d ", r.Table)
	}
	fmt.Fprintf(&b, "priority %d", r.Priority)
	return b.String()
}

// putRule makes a rule that was read elsewhere.
func (ns *Namespace) putRule(_ int, e netmove.Entry) error {
	return ns.request(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, e.Message)
}

// dropRule removes it. It looks first: the kernel would take a rule with more selectors for it
// (rule_find of net/core/fib_rules.c).
func (ns *Namespace) dropRule(_ int, raw []byte) error {
	rules, err := ns.Rules()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(rules, func(e netmove.Entry) bool { return bytes.Equal(e.Message, raw) }) {
		return unix.ENOENT
	}
	return ns.request(unix.RTM_DELRULE, 0, raw)
}

// policyRule takes a rule apart.
func (m *message) policyRule() netmove.PolicyRule {
	r := netmove.PolicyRule{
		IPv6: m.fixed[ruleFamily] == unix.AF_INET6, Suppress: -1,
		Invert: nl.NativeEndian().Uint32(m.fixed[ruleFlags:])&unix.FIB_RULE_INVERT != 0,
		Part:   m.fixed[ruleTOS] != 0,
	}
	for _, a := range m.attrs {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case unix.FRA_PRIORITY:
			r.Priority = u32(a.Value)
		case unix.FRA_TABLE:
			r.Table = u32(a.Value)
		case unix.FRA_SRC:
			r.From = prefix(a.Value, m.fixed[ruleSrcLen])
		case unix.FRA_DST:
			r.To = prefix(a.Value, m.fixed[ruleDstLen])
		case unix.FRA_FWMARK:
			r.Mark = u32(a.Value)
		case unix.FRA_FWMASK:
			r.Mask = u32(a.Value)
		case unix.FRA_SUPPRESS_PREFIXLEN:
			r.Suppress = int(int32(u32(a.Value)))
		case unix.FRA_IIFNAME:
			// What the node sends itself comes in by its loopback device.
			r.Elsewhere = r.Elsewhere || unix.ByteSliceToString(a.Value) != "lo"
		case unix.FRA_OIFNAME, unix.FRA_TUN_ID, unix.FRA_L3MDEV:
			r.Elsewhere = true
		case unix.FRA_UID_RANGE, unix.FRA_IP_PROTO, unix.FRA_SPORT_RANGE, unix.FRA_DPORT_RANGE, fraDSCP, fraFlowlabel:
			r.Part = true
		}
	}
	if m.fixed[ruleAction] != unix.FR_ACT_TO_TBL {
		r.Table = 0
	}
	return r
}

func prefix(addr []byte, bits uint8) netip.Prefix {
	ip, _ := netip.AddrFromSlice(addr)
	return netip.PrefixFrom(ip, int(bits))
}
