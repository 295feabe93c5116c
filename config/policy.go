package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ErrDenied is the class of every refusal by the node's config.
var ErrDenied = errors.New("not allowed by the node's config")

// DeniedError is a refusal by the node's config. The pod's author reads the text, and
// should learn no more about the node than helps.
type DeniedError struct {
	Device string // as the pod calls it; "" if the pod is refused as a whole
	Text   string // what is refused, why, and what to do

	rules func() []string // nil if no allow rule was asked
}

// Rules tells the node's owner for each allow rule why it does not allow the request. The
// list is empty if no allow rule was asked.
func (e *DeniedError) Rules() []string {
	if e.rules == nil {
		return nil
	}
	return e.rules()
}

// Error returns the text.
func (e *DeniedError) Error() string { return e.Text }

// Is makes a DeniedError an ErrDenied.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// Pod is what the config asks about a pod.
type Pod struct {
	Namespace      string
	Name           string
	RuntimeHandler string // "" for the runtime's default
}

// Grant is the permission for one device of one pod.
type Grant struct {
	// Rule is the index in NodeConfig.Allow of the first rule that allows the device.
	Rule int
}

// AllowPod decides whether the pod may have devices at all, and that many. It
// returns nil or a *DeniedError.
func (c *NodeConfig) AllowPod(pod Pod, devices int) error {
	switch {
	case c.Problem != nil:
		return denied("", "pod may not have devices: %s; ask the node's operator", c.problem())
	case !slices.Contains(c.RuntimeHandlers, pod.RuntimeHandler):
		return denied("", "runtime handler %q is not allowed to have host devices on this node: a device moved in after the start may be invisible to its pods", pod.RuntimeHandler)
	case devices > c.MaxDevicesPerPod:
		return denied("", "pod asks for %d devices: this node allows %d to a pod", devices, c.MaxDevicesPerPod)
	}
	return nil
}

// AllowDevice decides whether the pod may have dev, which req selected, with the
// settings in req. It decides by dev's names, not by the name in req. The error is a
// *DeniedError.
//
// One rule alone must match pod and device, allow all settings and accept all losses.
func (c *NodeConfig) AllowDevice(pod Pod, req netmove.Request, dev netmove.Device) (Grant, error) {
	if why := c.neverMoves(dev); why != "" {
		return Grant{}, denied(req.Device, "device %s %s", quote(req.Device), why)
	}
	if c.Problem != nil {
		return Grant{}, denied(req.Device, "device %s is not allowed in namespace %q: %s; ask the node's operator",
			quote(req.Device), pod.Namespace, c.problem())
	}
	matches := func(r AllowRule) bool { return r.Admits(pod) && r.Selects(dev) }
	allowing := c.rules(func(r AllowRule) bool { return matches(r) && len(r.lacks(req)) == 0 })
	for _, i := range allowing {
		if len(unaccepted(c.Allow[i], dev)) == 0 {
			return Grant{Rule: i}, nil
		}
	}
	var refusal *DeniedError
	if matching := c.rules(matches); len(allowing) > 0 {
		refusal = denied(req.Device, "device %s would lose %s, and no allow rule of this node's config accepts that: ask the node's operator",
			quote(req.Device), netmove.Losses(dev.Loss))
	} else if len(matching) > 0 {
		refusal = c.deniedSettings(pod, req, matching)
	} else {
		refusal = c.deniedDevice(pod, req, dev)
	}
	refusal.rules = func() []string { return c.whyNot(pod, req, dev) }
	return Grant{}, refusal
}

// unaccepted returns the losses of the device that the rule does not accept.
func unaccepted(r AllowRule, dev netmove.Device) []netmove.Loss {
	var list []netmove.Loss
	for _, loss := range dev.Loss {
		if !slices.Contains(r.AcceptLoss, string(loss.Kind)) {
			list = append(list, loss)
		}
	}
	return list
}

// AllowMove decides whether the device may move by hand. A config that is not valid may
// mean to protect any device. It returns nil or a *DeniedError.
func (c *NodeConfig) AllowMove(dev netmove.Device) error {
	if why := c.neverMoves(dev); why != "" {
		return denied(dev.Name, "device %s %s", quote(dev.Name), why)
	}
	if c.Problem != nil {
		return denied(dev.Name, "device %s may be one that this node protects: %s", quote(dev.Name), c.problem())
	}
	return nil
}

// neverMoves says why the device never moves, "" if an allow rule can allow it. Protect
// counts for altnames, too.
func (c *NodeConfig) neverMoves(dev netmove.Device) string {
	switch role := dev.Role; {
	case role.Loopback:
		return "is the loopback device and never moves"
	case role.Uplink.Source.IsValid():
		return fmt.Sprintf("has the address %s, which the node's default route has as its source, and never moves: %s", role.Uplink.Source, role.Uplink.Route)
	case role.Uplink.Route != "" && role.Uplink.Device != dev.Name:
		return fmt.Sprintf("is part of what carries the node's default route, %s, and never moves: %s", quote(role.Uplink.Device), role.Uplink.Route)
	case role.Uplink.Route != "":
		return "carries the node's default route and never moves: " + role.Uplink.Route
	case role.Immovable:
		return "is of a kind that the kernel binds to its network namespace and never moves"
	case slices.ContainsFunc(names(dev.Snapshot), func(name string) bool { return matchAny(c.Protect, name) }):
		return "is protected by this node's config and never moves"
	}
	return ""
}

// rules returns the indices of the allow rules for which hold is true.
func (c *NodeConfig) rules(hold func(AllowRule) bool) []int {
	var indices []int
	for i, r := range c.Allow {
		if hold(r) {
			indices = append(indices, i)
		}
	}
	return indices
}

// deniedDevice returns the refusal when no rule matches.
func (c *NodeConfig) deniedDevice(pod Pod, req netmove.Request, dev netmove.Device) *DeniedError {
	why := "no allow rule of this node's config matches device and pod"
	if byGlob := c.rules(func(r AllowRule) bool { return r.Admits(pod) && r.matches(dev.Snapshot) }); len(byGlob) > 0 {
		why = needsName(dev.Role) + ", and no allow rule of this node's config writes its name out"
	}
	return denied(req.Device, "device %s is not allowed in namespace %q: %s; ask the node's operator",
		quote(req.Device), pod.Namespace, why)
}

// deniedSettings returns the refusal when allow rules match but none allows all settings
// of the pod. It takes the rule that lacks the fewest settings, and names them.
func (c *NodeConfig) deniedSettings(pod Pod, req netmove.Request, matching []int) *DeniedError {
	lacks := c.Allow[matching[0]].lacks(req)
	for _, i := range matching[1:] {
		if other := c.Allow[i].lacks(req); len(other) < len(lacks) {
			lacks = other
		}
	}
	text := `setting "%s" of device %s is not allowed in namespace %q: leave it out, or ask the node's operator`
	if len(lacks) > 1 {
		text = `settings "%s" of device %s are not allowed in namespace %q: leave them out, or ask the node's operator`
	}
	return denied(req.Device, text, strings.Join(lacks, `", "`), quote(req.Device), pod.Namespace)
}

// maxReason is how much of a problem a refusal repeats, in characters.
const maxReason = 300

// problem says why a config that is not valid refuses everything.
func (c *NodeConfig) problem() string {
	reason := strings.ReplaceAll(c.Problem.Error(), "\n", "; ")
	return "this node's config is not valid (" + shorten(reason, maxReason) + ")"
}

func denied(device, format string, args ...any) *DeniedError {
	return &DeniedError{Device: device, Text: fmt.Sprintf(format, args...)}
}
