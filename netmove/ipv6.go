package netmove

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// fitIPv6 looks at what of IPv6 the plan has if the pod's namespace has none: what was asked for
// is refused, and what would go along stays.
func fitIPv6(pod Namespace, plan Plan) error {
	if !slices.ContainsFunc(plan, needsIPv6) {
		return nil
	}
	has, err := pod.HasIPv6()
	if has || err != nil {
		return err
	}
	var errs []error
	for i := range plan {
		if a := &plan[i]; needsIPv6(*a) {
			a.leaveIPv6()
			errs = append(errs, a.refuseIPv6())
		}
	}
	return errors.Join(errs...)
}

// needsIPv6 reports whether anything is to be put on the device that only IPv6 has. A device
// for which IPv6 is asked to be on has it.
func needsIPv6(a Attachment) bool {
	r := a.Request
	return r.Sysctls[DisableIPv6] != "0" && (slices.ContainsFunc(a.Addresses, Address.IsIPv6) || slices.ContainsFunc(a.Entries, Entry.isIPv6) ||
		slices.ContainsFunc(r.Routes, RouteRequest.isIPv6) || slices.ContainsFunc(r.Neighbors, NeighborRequest.isIPv6))
}

func (r RouteRequest) isIPv6() bool    { return r.To.Addr().Is6() || r.Via.Is6() }
func (n NeighborRequest) isIPv6() bool { return n.IP.Is6() }

func (e Entry) isIPv6() bool {
	return e.Rule.IPv6 || e.Route.Dst.Addr().Is6() || slices.ContainsFunc(e.Route.Via, netip.Addr.Is6) || e.Neighbor.Is6()
}

// leaveIPv6 leaves on the host what would go along.
func (a *Attachment) leaveIPv6() {
	if a.Request.Addresses == nil {
		a.Addresses = slices.DeleteFunc(slices.Clone(a.Addresses), func(addr Address) bool {
			if addr.IsIPv6() {
				a.leave("addresses", "%s stays on the host: %s", addr.Local, noIPv6)
			}
			return addr.IsIPv6()
		})
	}
	a.Entries = slices.DeleteFunc(slices.Clone(a.Entries), func(e Entry) bool {
		if e.isIPv6() {
			a.leave(string(e.Table), "%s stays on the host: %s", e.Text, noIPv6)
		}
		return e.isIPv6()
	})
}

const noIPv6 = "the pod's network namespace has no IPv6"

// refuseIPv6 refuses what was asked for.
func (a *Attachment) refuseIPv6() error {
	var errs []error
	refuse := func(what any) {
		errs = append(errs, fmt.Errorf("device %q: %s: %s: leave it out, or ask for sysctls: {%s: \"0\"}", a.Before.Name, what, noIPv6, DisableIPv6))
	}
	for _, addr := range a.Addresses {
		if addr.IsIPv6() {
			refuse("address " + addr.Local.String())
		}
	}
	for _, r := range a.Request.Routes {
		if r.isIPv6() {
			refuse("route " + r.String())
		}
	}
	for _, n := range a.Request.Neighbors {
		if n.isIPv6() {
			refuse("neighbor " + n.String())
		}
	}
	return errors.Join(errs...)
}
