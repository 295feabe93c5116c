package netmove

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// DisableIPv6 is the sysctl that takes IPv6 off a device.
const DisableIPv6 = "ipv6/disable_ipv6"

// sysctlName is the name in a Snapshot of a sysctl that a Request calls name.
func sysctlName(name string) string { return strings.Replace(name, "/", "/conf/", 1) }

// checkSettings says what of the request the device could not have in the pod, as far as it
// can be told before anything is touched.
func (a *Attachment) checkSettings(f Facts) error {
	errs := []error{a.checkMTU(), a.checkDisableIPv6(), a.checkSizes(f.TSOMaxSize), a.checkFeatures(f.Features), a.checkNeighbors()}
	return errors.Join(append(errs, a.checkRoutes()...)...)
}

// checkRoutes looks for what the kernel needs of the device's addresses. A route is
// reached by those that the pod asks for before it, too.
func (a *Attachment) checkRoutes() (errs []error) {
	var onLink []netip.Prefix
	for _, r := range orderedRoutes(a.Request.Routes) {
		switch {
		case a.hasAddress(r.Via):
			errs = append(errs, fmt.Errorf("route %s: the next hop %s is an address of the device's own", r, r.Via))
		case r.Src.IsValid() && !a.hasAddress(r.Src):
			errs = append(errs, fmt.Errorf("route %s: src %s is not among its addresses in the pod", r, r.Src))
		case r.Via.IsValid() && !r.OnLink && !reaches(r.Via, a.Addresses, onLink):
			errs = append(errs, fmt.Errorf("route %s: the next hop %s is not reached by any of its addresses and routes in the pod", r, r.Via))
		case !r.Via.IsValid():
			onLink = append(onLink, r.To)
		}
	}
	return errs
}

// hasAddress reports whether the device has the address in the pod.
func (a *Attachment) hasAddress(ip netip.Addr) bool {
	return slices.ContainsFunc(a.Addresses, func(addr Address) bool { return addr.Local.Addr() == ip })
}

// orderedRoutes are the routes in the order in which they can be made: those that are on
// the link first, since next hops are reached by them.
func orderedRoutes(routes []RouteRequest) []RouteRequest {
	return slices.SortedStableFunc(slices.Values(routes), func(r, s RouteRequest) int {
		rank := func(r RouteRequest) int {
			if r.Via.IsValid() {
				return 1
			}
			return 0
		}
		return rank(r) - rank(s)
	})
}

func (a *Attachment) checkNeighbors() error {
	var errs []error
	for _, n := range a.Request.Neighbors {
		if a.hasAddress(n.IP) {
			errs = append(errs, fmt.Errorf("neighbor %s: it is an address of the device's own", n))
		}
	}
	return errors.Join(errs...)
}

// checkDisableIPv6 finds addresses that would not be there without IPv6.
func (a *Attachment) checkDisableIPv6() error {
	if a.Request.Sysctls[DisableIPv6] != "1" {
		return nil
	}
	for _, addr := range a.Addresses {
		if addr.IsIPv6() {
			return fmt.Errorf("sysctl %s 1 takes away its address %s: ask for other addresses, or for none", DisableIPv6, addr.Local)
		}
	}
	return nil
}

// maxSize is one of the sizes of BIG TCP.
type maxSize struct {
	field, option string
	bytes         int
}

// maxSizes are those that the request names, in the order in which they are set: that of
// all packets sets that of IPv4, too, unless it is BIG TCP's (netif_set_gso_max_size).
func (r Request) maxSizes() []maxSize {
	return slices.DeleteFunc([]maxSize{
		{"gsoMaxSize", "gso_max_size", r.GSOMaxSize},
		{"groMaxSize", "gro_max_size", r.GROMaxSize},
		{"gsoIPv4MaxSize", "gso_ipv4_max_size", r.GSOIPv4MaxSize},
		{"groIPv4MaxSize", "gro_ipv4_max_size", r.GROIPv4MaxSize},
	}, func(s maxSize) bool { return s.bytes == 0 })
}

func (s maxSize) value() RawValue { return binary.NativeEndian.AppendUint32(nil, uint32(s.bytes)) }

func (a *Attachment) checkSizes(limit int) error {
	var errs []error
	for _, s := range a.Request.maxSizes() {
		switch _, known := a.Before.option(s.option); {
		case !known:
			errs = append(errs, fmt.Errorf("%s %d: this node's kernel has no such setting", s.field, s.bytes))
		case strings.HasPrefix(s.field, "gso") && limit != 0 && s.bytes > limit:
			errs = append(errs, fmt.Errorf("%s %d: the device segments %d bytes at most", s.field, s.bytes, limit))
		}
	}
	return errors.Join(errs...)
}

func (a *Attachment) checkFeatures(has map[string]Feature) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(a.Request.Features)) {
		switch f, known := has[name]; {
		case !known:
			errs = append(errs, fmt.Errorf("offload feature %q: the device has none of that name: \"ethtool -k\" shows them", name))
		case f.Fixed && f.On != a.Request.Features[name]:
			errs = append(errs, fmt.Errorf("offload feature %q: the device cannot switch it %s", name, onOff(!f.On)))
		}
	}
	return errors.Join(errs...)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// offloadSteps set what decides how packets are built and taken apart.
func (a *Attachment) offloadSteps(pod Namespace) []step {
	index := a.PodIndex
	var t todo
	for _, s := range a.Request.maxSizes() {
		t.add(true, s.field, func() error { return pod.SetOption(index, Option{Name: s.option, Value: s.value()}) }, "set %s %d", s.field, s.bytes)
	}
	features := a.Request.Features
	t.add(len(features) > 0, "features", func() error { return pod.SetFeatures(index, features) }, "set offload features %s", featureList(features))
	return t
}

// featureList is the features as ethtool(8) -K takes them.
func featureList(features map[string]bool) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(features)) {
		words = append(words, name+" "+onOff(features[name]))
	}
	return strings.Join(words, " ")
}

// sysctlSteps set sysctls, before there is an address that one of them is about.
func (a *Attachment) sysctlSteps(pod Namespace) []step {
	var t todo
	for _, name := range slices.Sorted(maps.Keys(a.Request.Sysctls)) {
		value := a.Request.Sysctls[name]
		t.add(true, "sysctls", func() error { return pod.SetSysctl(a.PodIndex, sysctlName(name), value) }, "set sysctl %s %s", name, value)
	}
	return t
}

// tableSteps make entries that the pod asks for, on a device that is up.
func (a *Attachment) tableSteps(pod Namespace) []step {
	index := a.PodIndex
	var t todo
	for _, n := range a.Request.Neighbors {
		t.add(true, "neighbors", func() error { return taken(pod.AddNeighbor(index, n)) }, "add neighbor %s", n)
	}
	t = append(t, a.replaceSteps(pod)...)
	for _, r := range orderedRoutes(a.Request.Routes) {
		t.add(true, "routes", func() error { return taken(pod.AddRoute(index, r)) }, "add route %s", r)
	}
	for _, r := range a.Request.Rules {
		t.add(true, "rules", func() error { return taken(pod.AddRule(r)) }, "add rule %s", r)
	}
	return t
}

// taken tells the pod's author what to do about an entry that is there.
func taken(err error) error {
	if errors.Is(err, ErrExists) {
		return fmt.Errorf("%w in the pod: choose another metric, priority or table", err)
	}
	return err
}

// settings tells what the device has in the pod besides its name.
func (a *Attachment) settings() []string {
	r := a.Request
	var s []string
	add := func(given bool, format string, args ...any) {
		if given {
			s = append(s, fmt.Sprintf(format, args...))
		}
	}
	add(r.MTU != 0, "mtu %d", r.MTU)
	add(r.MAC != nil, "mac %s", r.MAC)
	for _, size := range r.maxSizes() {
		add(true, "%s %d", size.field, size.bytes)
	}
	add(len(r.Features) > 0, "features %s", featureList(r.Features))
	for _, name := range slices.Sorted(maps.Keys(r.Sysctls)) {
		add(true, "sysctl %s %s", name, r.Sysctls[name])
	}
	if len(a.Addresses) == 0 {
		s = append(s, "no addresses")
	} else {
		list := make([]string, len(a.Addresses))
		for i, addr := range a.Addresses {
			list[i] = addr.String()
		}
		s = append(s, "addresses "+strings.Join(list, " "))
	}
	add(a.Announces(), "announced")
	for _, n := range r.Neighbors {
		add(true, "neighbor %s", n)
	}
	for _, route := range r.Routes {
		add(true, "route %s", route)
	}
	for _, rule := range r.Rules {
		add(true, "rule %s", rule)
	}
	for _, e := range a.Entries {
		add(true, "%s %s", e.Table, e.Text)
	}
	for _, p := range a.Before.Programs {
		add(p.Detached, "without %s", p)
	}
	add(len(a.Loss) > 0, "loses %s", Losses(a.Loss))
	return s
}
