package config_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
)

// netDevice is a text of opaque parameters with these fields, as the API server sends it.
func netDevice(fields string) string {
	return strings.TrimSuffix(`{"apiVersion": "netdev.noderesource.dev/v1alpha1", "kind": "NetDevice", `+fields, ", ") + "}"
}

// A field of the claim's counts in place of the class's, whichever form it has.
func TestNetDevice(t *testing.T) {
	class := netDevice(`"newName": "net1", "mtu": 9000, "addresses": ["192.0.2.5/24"]`)
	for _, tc := range []struct {
		name  string
		texts []string
		want  string // one entry of an annotation that means the same
	}{
		{"none", nil, `{name: x}`},
		{"nothing asked", []string{netDevice("")}, `{name: x}`},
		{"class alone", []string{class}, `{name: x, newName: net1, mtu: 9000, addresses: ["192.0.2.5/24"]}`},
		{"claim over class", []string{class, netDevice(`"mtu": 1400`)}, `{name: x, newName: net1, mtu: 1400, addresses: ["192.0.2.5/24"]}`},
		{"other forms", []string{class, netDevice(`"new_name": "net2", "address": "192.0.2.6"`)}, `{name: x, newName: net2, mtu: 9000, addresses: ["192.0.2.6/32"]}`},
		{"empty list", []string{class, netDevice(`"addresses": []`)}, `{name: x, newName: net1, mtu: 9000, addresses: []}`},
		{"three", []string{class, netDevice(`"mtu": 1400`), netDevice(`"mtu": 1300`)}, `{name: x, newName: net1, mtu: 1300, addresses: ["192.0.2.5/24"]}`},
	} {
		got, err := config.ParseNetDevice("nic", tc.texts...)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		want, err := config.ParseAnnotations(map[string]string{config.Annotation: "[" + tc.want + "]"})
		if err != nil {
			t.Fatal(err)
		}
		want[0].Device = ""
		if diff := cmp.Diff(want[0], got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
			t.Errorf("%s (-annotation +parameters):\n%s", tc.name, diff)
		}
	}
}

// Every problem comes with its path.
func TestNetDeviceRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"unknown field", []string{netDevice(`"mtuu": 1`)}, `nic[0]: unknown field "mtuu"`},
		{"value", []string{netDevice(""), netDevice(`"mtu": 1`)}, "nic[1].mtu: 1 is not between 68 and 65535"},
		{"deep", []string{netDevice(`"routes": [{"to": "x"}]`)}, "nic[0].routes[0].to: "},
		{"selector", []string{netDevice(`"name": "eth1"`)}, "nic[0].name: not allowed: the scheduler selects the device"},
		{"pool", []string{netDevice(`"pool": "fast"`)}, "nic[0].pool: not allowed"},
		{"match", []string{netDevice(`"match": {"driver": "veth"}`)}, "nic[0].match: not allowed"},
		{"version", []string{`{"apiVersion": "netdev.noderesource.dev/v2", "kind": "NetDevice"}`}, `nic[0].apiVersion: want "netdev.noderesource.dev/v1alpha1", not "netdev.noderesource.dev/v2"`},
		{"kind", []string{`{"apiVersion": "netdev.noderesource.dev/v1alpha1", "kind": "NodeConfig"}`}, `nic[0].kind: want "NetDevice"`},
		{"no version", []string{`{"kind": "NetDevice"}`}, "nic[0].apiVersion: required"},
		{"too large", []string{netDevice(`"newName": "` + strings.Repeat("x", 10<<10) + `"`)}, "at most 10240 are allowed"},
		{"empty", []string{""}, "nic[0]: empty: want apiVersion"},
		{"null", []string{"null"}, "nic[0]: null is not allowed"},
		{"a list", []string{"[" + netDevice("") + "]"}, "nic[0]: want a mapping, not a list"},
		{"twice", []string{netDevice(`"mtu": 1400, "mtu": 1400`)}, "nic[0].mtu: given twice"},
		{"address twice", []string{netDevice(`"addresses": ["192.0.2.5/24", "192.0.2.5/24"]`)}, "192.0.2.5 is given twice"},
		{"wrong together", []string{netDevice(`"addresses": ["2001:db8::1/64"]`), netDevice(`"mtu": 1000`)}, "nic[1].mtu: 1000 is too small for the IPv6 addresses"},
		{"wrong in the class", []string{netDevice(`"mtu": 1`), netDevice(`"mtu": 1400`)}, "nic[0].mtu: 1 is not between"},
	} {
		_, err := config.ParseNetDevice("nic", tc.texts...)
		if _, ok := errors.AsType[*config.Problems](err); !ok || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is\n%v\nwant\n%s", tc.name, err, tc.want)
		}
	}
}

// Opaque parameters have each field of the annotation but those that select a device.
func TestNetDeviceFields(t *testing.T) {
	want := len(config.RequestFields()) - 3 + 2
	if got := config.NetDeviceFields(); len(got) != want {
		t.Errorf("%d fields, want %d: %q", len(got), want, got)
	}
}

// Only a device of a pool that is not mixed is kept from annotations.
func TestAllowUnclaimed(t *testing.T) {
	c, err := config.Parse([]byte("apiVersion: netdev.noderesource.dev/v1alpha1\nkind: NodeConfig\npools:\n" +
		"- {name: fast, devices: [eth1, eth2]}\n- {name: both, devices: [eth2, eth3], mixed: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, free := range map[string]bool{"eth1": false, "eth2": false, "eth3": true, "eth4": true} {
		err := c.AllowUnclaimed(netmove.Request{Device: name}, netmove.Snapshot{Name: name})
		if (err == nil) != free || err != nil && !errors.Is(err, config.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
