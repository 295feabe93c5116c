package config

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// FuzzRequest makes devices of an annotation from the inside: what is well formed is
// accepted and means the same when it is read again, and with one value out of place it is
// refused with the path of that value.
func FuzzRequest(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, seed%7)
	}
	for _, seed := range []uint64{1328, 1697, 2339} { // of routes, addresses and neighbors, with disable_ipv6
		f.Add(seed, seed%7)
	}
	f.Fuzz(func(t *testing.T, seed, other uint64) {
		r := rand.New(rand.NewPCG(seed, other))
		device := randomDevice(r)
		requests, err := parsePod(asYAML(device))
		if err != nil {
			t.Fatalf("%v\n%s", err, asYAML(device))
		}
		again, err := parsePod(render(requests))
		if err != nil {
			t.Fatalf("written out: %v\n%s", err, render(requests))
		}
		if diff := cmp.Diff(requests, again, byValue()); diff != "" {
			t.Errorf("requests, written out and read again (-want +got):\n%s", diff)
		}
		where := spoil(r, device)
		requests, err = parsePod(asYAML(device))
		if err == nil || requests != nil || !strings.Contains(err.Error(), Annotation+"[0]."+where+": ") {
			t.Errorf("error %v, want one at %s\n%s", err, where, asYAML(device))
		}
	})
}

func asYAML(device map[string]any) string {
	text, err := k8syaml.Marshal([]any{device})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func one[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomDevice is a device with settings that do not contradict one another.
func randomDevice(r *rand.Rand) map[string]any {
	device := map[string]any{}
	selector := one(r, "name", "match", "pool")
	device[selector] = map[string]any{
		"name": one(r, "eth1", "no", "5", "a-b.c"), "pool": one(r, "fast", "a.b"),
		"match": one(r, map[string]any{"driver": "ice"}, map[string]any{"mac": "02:00:00:00:00:01", "pciAddress": "0000:0a:00.7"}),
	}[selector]
	settings := map[string]func() any{
		"newName":    func() any { return one(r, "net1", "y", "0x1") },
		"addresses":  func() any { return one(r, []any{}, []any{"192.0.2.5/24", "2001:db8::5/64"}) },
		"mtu":        func() any { return 1280 + r.IntN(60000) },
		"mac":        func() any { return fmt.Sprintf("02:00:00:00:00:%02x", r.IntN(256)) },
		"gsoMaxSize": func() any { return minMaxSize + r.IntN(maxMaxSize-minMaxSize) },
		"detachBPF":  func() any { return one(r, true, false) },
		"announce":   func() any { return one(r, true, false) },
		"sysctls": func() any {
			s := one(r, Sysctls()...)
			return map[string]any{s.Name: one[any](r, s.Low, fmt.Sprint(s.High))}
		},
		"ethtool": func() any {
			return map[string]any{"features": map[string]any{one(r, "rx-gro", "tx-checksumming"): true}}
		},
		"routes":    func() any { return list(r, randomRoute) },
		"rules":     func() any { return list(r, randomRule) },
		"neighbors": func() any { return list(r, randomNeighbor) },
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if r.IntN(2) == 0 {
			device[name] = settings[name]()
		}
	}
	if asksForIPv6(device) {
		keepIPv6(device)
	}
	return device
}

// asksForIPv6 reports whether the device would have IPv6 addresses, routes or neighbors.
func asksForIPv6(device map[string]any) bool {
	return strings.Contains(fmt.Sprint(device["addresses"], device["routes"], device["neighbors"]), "::")
}

// keepIPv6 leaves out the sysctl that would take IPv6 from the device.
func keepIPv6(device map[string]any) {
	if sysctls, ok := device["sysctls"].(map[string]any); ok {
		delete(sysctls, netmove.DisableIPv6)
	}
}

// list has up to three items, of which no two are equal in what n is for.
func list(r *rand.Rand, item func(r *rand.Rand, n int) map[string]any) []any {
	items := []any{}
	for n := range r.IntN(4) {
		items = append(items, item(r, n))
	}
	return items
}

func randomRoute(r *rand.Rand, n int) map[string]any {
	route := map[string]any{"to": one(r, "10.0.0.0/8", "0.0.0.0/0", "198.51.100.7"), "metric": n}
	if r.IntN(2) == 0 {
		route["via"], route["src"], route["onLink"] = one(r, "192.0.2.1", "fe80::1"), "192.0.2.5", one(r, true, false)
	} else {
		route["scope"] = one[any](r, "global", "link", "host", 100)
	}
	if r.IntN(3) == 0 {
		route = map[string]any{"to": one(r, "default", "2001:db8::/32"), "via": "fe80::1", "metric": 1 + n, "table": 4294967295}
	}
	return route
}

func randomRule(r *rand.Rand, n int) map[string]any {
	return one(
		r,
		map[string]any{"from": "192.0.2.5", "table": 100 + n},
		map[string]any{"to": "::/0", "table": 100, "priority": 1 + n},
		map[string]any{"fwMark": 1 + n, "table": 254, "from": "192.0.2.0/24"},
	)
}

func randomNeighbor(r *rand.Rand, n int) map[string]any {
	return map[string]any{"ip": fmt.Sprintf(one(r, "192.0.2.%d", "2001:db8::%d"), 1+n), "mac": "02:00:00:00:00:01"}
}

// spoil puts one value into a device that does not belong there, and tells its path.
func spoil(r *rand.Rand, device map[string]any) string {
	junk := one[any](r, nil, "x/y z", 1.5, -7, []any{}, map[string]any{"a": 1}, "::1%lo", "../..", true)
	bad := map[string]struct {
		field string
		value any
	}{
		"mtu":                     {"mtu", one[any](r, nil, "1500", 1.5, -7, 67, []any{}, true)},
		"mac":                     {"mac", junk},
		"newName":                 {"newName", junk},
		"routes[0].to":            {"routes", []any{map[string]any{"to": junk}}},
		"routes[0].via":           {"routes", []any{map[string]any{"to": "10.0.0.0/8", "via": one[any](r, junk, "::", "0.0.0.0")}}},
		"routes[0].src":           {"routes", []any{map[string]any{"to": "10.0.0.0/8", "src": one[any](r, junk, "2001:db8::1")}}},
		"routes[0].table":         {"routes", []any{map[string]any{"to": "10.0.0.0/8", "table": one[any](r, nil, 0, -1, "main", 1<<32)}}},
		"rules[0].from":           {"rules", []any{map[string]any{"from": junk, "table": 1}}},
		"neighbors[0].ip":         {"neighbors", []any{map[string]any{"ip": junk, "mac": "02:00:00:00:00:01"}}},
		"neighbors[0].mac":        {"neighbors", []any{map[string]any{"ip": "192.0.2.1", "mac": junk}}},
		"sysctls.ipv4/arp_ignore": {"sysctls", map[string]any{"ipv4/arp_ignore": one[any](r, nil, "x", 1.5, -7, 9, []any{}, true)}},
		"ethtool.features.rx-gro": {"ethtool", map[string]any{"features": map[string]any{"rx-gro": one[any](r, nil, "on", 1, []any{})}}},
		"gsoMaxSize":              {"gsoMaxSize", one[any](r, nil, "65536", 1.5, -7, 511, 524281, true)},
		"detachBPF":               {"detachBPF", one[any](r, nil, "true", 1, []any{})},
		"announce":                {"announce", one[any](r, nil, "false", 0, map[string]any{})},
	}
	path := one(r, slices.Sorted(maps.Keys(bad))...)
	device[bad[path].field] = bad[path].value
	return path
}
