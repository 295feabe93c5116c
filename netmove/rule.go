package netmove

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Policy rules belong to the pod's namespace and not to a device, so they do not go when
// the device does. A rule that the pod has already is refused before anything is
// touched: so what is found of the request's later is ours, and is removed with the device.

// about reports whether the rule selects by one address that is among those, as source or as
// destination.
func (r PolicyRule) about(among func(netip.Addr) bool) bool {
	return !r.Invert && slices.ContainsFunc([]netip.Prefix{r.From, r.To}, func(p netip.Prefix) bool {
		return p.IsSingleIP() && among(p.Addr())
	})
}

// RulesAbout are the rules that select by one of the addresses.
func RulesAbout(rules []Entry, addrs []netip.Addr) []Entry {
	among := func(ip netip.Addr) bool { return slices.Contains(addrs, ip) }
	return slices.DeleteFunc(slices.Clone(rules), func(e Entry) bool { return !e.Rule.about(among) })
}

// rulesAlong sorts the host's rules about the device's addresses in the pod: those that the pod
// can have go along, and of the others it tells why not.
func (a *Attachment) rulesAlong(rules []Entry) {
	if a.Request.Rules != nil {
		return
	}
	for _, e := range rules {
		switch r := e.Rule; {
		case !r.about(a.hasAddress):
		case r.Elsewhere:
			a.leave("rule", "%s stays on the host: it selects by a device, a tunnel or a VRF as well", e.Text)
		case r.Table == 0:
			a.leave("rule", "%s stays on the host: it has no table looked up", e.Text)
		default:
			a.Entries = append(a.Entries, e)
		}
	}
}

// checkRules reads the pod's rules, if there are to be others.
func checkRules(pod Namespace, plan Plan) error {
	if !slices.ContainsFunc(plan, wantsRules) {
		return nil
	}
	has, err := pod.Rules()
	if err != nil {
		return fmt.Errorf("rules in the pod: %w", err)
	}
	var errs []error
	for i := range plan {
		errs = append(errs, plan[i].checkRules(has))
	}
	return errors.Join(errs...)
}

func wantsRules(a Attachment) bool {
	return len(a.Request.Rules) > 0 || slices.ContainsFunc(a.Entries, Entry.isRule)
}

func (e Entry) isRule() bool { return e.Table == TableRule }

// checkRules refuses rules that are asked for if the pod has them, or others at their priority,
// and leaves those on the host that would go along to such a priority.
func (a *Attachment) checkRules(pod []Entry) error {
	var errs []error
	for _, r := range a.Request.Rules {
		for _, has := range pod {
			switch {
			case r.equals(has.Rule):
				errs = append(errs, fmt.Errorf("device %q: rule %s: the pod has it already", a.Before.Name, r))
			case r.Priority != 0 && r.Priority == has.Rule.Priority && r.hasFamily(has.Rule.IPv6):
				errs = append(errs, fmt.Errorf("device %q: rule %s: the pod has a rule of that priority, %q: choose another priority", a.Before.Name, r, has.Text))
			}
		}
	}
	a.Entries = slices.DeleteFunc(slices.Clone(a.Entries), func(e Entry) bool {
		clash := func(has Entry) bool { return has.Rule.Priority == e.Rule.Priority && has.Rule.IPv6 == e.Rule.IPv6 }
		if !e.isRule() || !slices.ContainsFunc(pod, clash) {
			return false
		}
		a.leave("rule", "%s stays on the host: the pod has a rule of that priority", e.Text)
		return true
	})
	return errors.Join(errs...)
}

// hasFamily reports whether the rule is for that family: without addresses it is for both.
func (r RuleRequest) hasFamily(ipv6 bool) bool {
	for _, p := range []netip.Prefix{r.From, r.To} {
		if p.IsValid() {
			return p.Addr().Is6() == ipv6
		}
	}
	return true
}

// equals reports whether a rule of the pod's is the one that would be made.
func (r RuleRequest) equals(has PolicyRule) bool {
	var mask uint32
	if r.FwMark != 0 {
		mask = ^uint32(0)
	}
	same := PolicyRule{
		IPv6: has.IPv6, Priority: has.Priority, Table: r.Table, From: selecting(r.From), To: selecting(r.To),
		Mark: r.FwMark, Mask: mask, Suppress: -1,
	}
	return r.hasFamily(has.IPv6) && has == same && (r.Priority == 0 || r.Priority == has.Priority)
}

// selecting is the prefix as the kernel keeps it: none if it is for all addresses.
func selecting(p netip.Prefix) netip.Prefix {
	if p.Bits() == 0 {
		return netip.Prefix{}
	}
	return p
}

// dropRules removes the rules from the pod, as far as they are there.
func dropRules(pod Namespace, a *Attachment) error {
	var errs []error
	failed := func(err error, text string) {
		if err != nil && !errors.Is(err, ErrNotFound) {
			errs = append(errs, fmt.Errorf("drop rule %s in the pod: %w", text, err))
		}
	}
	for _, r := range a.Request.Rules {
		failed(pod.DropRule(r), r.String())
	}
	for _, e := range a.Entries {
		if e.isRule() {
			failed(pod.DropEntry(a.PodIndex, e), e.Text)
		}
	}
	return errors.Join(errs...)
}
