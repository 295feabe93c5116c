package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Verdict says which pods may have a device.
type Verdict struct {
	// Never says why the device never moves, "" if a rule can allow it.
	Never string `json:"never,omitempty"`

	// Rules lists the allow rules that select the device and accept its losses.
	Rules []RuleOf `json:"rules,omitempty"`

	// Loses says what a move loses, which these rules accept; "" if it loses nothing.
	Loses string `json:"loses,omitempty"`

	// Why says why a rule that matches the device does not allow it.
	Why string `json:"why,omitempty"`
}

// RuleOf is an allow rule that allows a device.
type RuleOf struct {
	Rule       int      `json:"rule"` // index in NodeConfig.Allow
	Namespaces []string `json:"namespaces"`
	PodNames   []string `json:"podNames,omitempty"`
}

// Explain says which pods may have the device.
func (c *NodeConfig) Explain(dev netmove.Device) Verdict {
	if why := c.neverMoves(dev); why != "" {
		return Verdict{Never: why}
	}
	if c.Problem != nil {
		return Verdict{Why: "the node config is not valid"}
	}
	var v Verdict
	for i, r := range c.Allow {
		switch {
		case !r.matches(dev.Snapshot):
		case !r.Selects(dev):
			v.Why = needsName(dev.Role) + ": only a rule that writes its name out allows it"
		case len(unaccepted(r, dev)) > 0:
			v.Why = fmt.Sprintf("%s would be lost: only a rule that accepts it allows it", netmove.Losses(unaccepted(r, dev)))
		default:
			v.Rules = append(v.Rules, RuleOf{i, r.Namespaces, r.PodNames})
			v.Loses = netmove.Losses(dev.Loss)
		}
	}
	return v
}

// whyNot says for each allow rule why the rule does not allow the request.
func (c *NodeConfig) whyNot(pod Pod, req netmove.Request, dev netmove.Device) []string {
	list := make([]string, len(c.Allow))
	for i, r := range c.Allow {
		list[i] = fmt.Sprintf("allow[%d]: %s", i, r.whyNot(pod, req, dev))
	}
	return list
}

func (r AllowRule) whyNot(pod Pod, req netmove.Request, dev netmove.Device) string {
	field := cmp.Or(r.mismatchedPod(pod), r.mismatched(dev.Snapshot))
	switch {
	case field != "":
		return field + " do not match"
	case !r.Selects(dev):
		return needsName(dev.Role) + ", and its devices do not write the name out"
	case len(r.lacks(req)) > 0:
		return "settings do not allow " + strings.Join(r.lacks(req), ", ")
	}
	return "acceptLoss does not accept " + netmove.Losses(unaccepted(r, dev))
}

// String returns the verdict in one line.
func (v Verdict) String() string {
	switch {
	case v.Never != "":
		return "nobody: it " + v.Never
	case len(v.Rules) == 0 && v.Why != "":
		return "nobody: " + v.Why
	case len(v.Rules) == 0:
		return "nobody: no allow rule"
	}
	list := make([]string, len(v.Rules))
	for i, r := range v.Rules {
		list[i] = fmt.Sprintf("allow[%d] %s", r.Rule, strings.Join(r.Namespaces, ","))
		if len(r.PodNames) > 0 {
			list[i] += " (" + strings.Join(r.PodNames, ",") + ")"
		}
	}
	text := strings.Join(list, "; ")
	if v.Loses != "" {
		text += "; loses " + v.Loses
	}
	return text
}
