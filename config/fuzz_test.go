package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// render writes requests as an annotation, as a careful author would.
func render(requests []netmove.Request) string {
	devices := make([]map[string]any, len(requests))
	for i, r := range requests {
		devices[i] = fieldsOf(r)
	}
	text, err := k8syaml.Marshal(devices)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fieldsOf are the fields of a request, by their names in the annotation.
func fieldsOf(r netmove.Request) map[string]any {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		panic(err)
	}
	rename := func(from, to string) {
		if v, ok := fields[from]; ok {
			delete(fields, from)
			if v != "" {
				fields[to] = v
			}
		}
	}
	rename("device", "name")
	rename("podName", "newName")
	rename("features", "ethtool")
	if features, ok := fields["ethtool"]; ok {
		fields["ethtool"] = map[string]any{"features": features}
	}
	if routes, ok := fields["routes"].([]any); ok {
		for i := range routes { // absent is link where there is no next hop
			routes[i].(map[string]any)["scope"] = int(r.Routes[i].Scope)
		}
	}
	return fields
}

// FuzzAnnotation: what is accepted means the same when it is written out and
// read again, and the same to kubectl's reader if that accepts it; what the scan lets through is
// no deeper than promised.
func FuzzAnnotation(f *testing.F) {
	for _, text := range []string{
		"", "[]", "- name: eth1", "- name: no", "- {name: eth1, mtu: 9000}",
		"- name: enp2s2f1\n  newName: net1\n  addresses: [\"192.0.2.5/24\", \"2001:db8::5/64\"]\n  mtu: 9000\n  mac: 02:00:00:00:00:01\n",
		`[{"name":"eth1","new_name":"net1","address":"192.0.2.5","prefix":24}]`,
		"- {name: 'a', addresses: []}\n- {name: b, addresses: ['fe80::1/64']}",
		"- match: {mac: 02:00:00:00:00:01, driver: virtio_net}\n  gsoMaxSize: 65536\n  detachBPF: true\n- {pool: fast, sysctls: {ipv4/arp_ignore: '1'}}",
		"- name: a\n  routes: [{to: default, via: 'fe80::1', metric: 5, onLink: true}, {to: 10.0.0.0/8, scope: host, table: 7}]\n  rules: [{from: 10.1.2.3, table: 7}]\n  neighbors: [{ip: 10.0.0.1, mac: 02:00:00:00:00:01}]\n  ethtool: {features: {rx-gro: false}}",
		"- &a {name: eth1}\n- *a", "- ? name\n  : eth1", "- name: >-\n    eth1\n", "- \"name\": \"eth\\x31\"", "[] []", "[]\n---\n[]",
		"? - a\n: [b: {c: d}]", "- - - a\n- ? ? b", "%YAML 1.1\n---\n- name: eth1\n...\n", "# c\n- # d\n  name: eth1 # e\n# f\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkDepth(t, text)
		requests, err := parsePod(text)
		if err != nil {
			return
		}
		again, err := parsePod(render(requests))
		if err != nil {
			t.Fatalf("written out: %v\n%s", err, render(requests))
		}
		if diff := cmp.Diff(requests, again, byValue()); diff != "" {
			t.Errorf("requests, written out and read again (-want +got):\n%s", diff)
		}
		sameToKubectl(t, text, requests)
	})
}

func checkDepth(t *testing.T, text string) {
	if scan(text, maxAnnotation) != nil {
		return
	}
	root, err := parse(text)
	if err != nil || root == nil {
		return
	}
	brackets := strings.Count(text, "[") + strings.Count(text, "{")
	indent := 0
	for line := range strings.SplitSeq(text, "\n") {
		indent = max(indent, len(line)-len(strings.TrimLeft(line, " \t-?:")))
	}
	if got, most := depth(root), 1+2*brackets+2*(indent+1); got > most {
		t.Errorf("%d levels deep, at most %d by its brackets and indentation", got, most)
	}
}

// sameToKubectl compares names and numbers, as YAML 1.1 types them.
func sameToKubectl(t *testing.T, text string, requests []netmove.Request) {
	var devices []map[string]any
	if err := k8syaml.UnmarshalStrict([]byte(text), &devices); err != nil {
		return // it knows less of tabs and comments
	}
	var want []map[string]any
	if err := k8syaml.Unmarshal([]byte(render(requests)), &want); err != nil {
		t.Fatal(err)
	}
	for i, device := range devices {
		if name, ok := device["new_name"]; ok {
			device["newName"] = name
		} else if _, given := device["newName"]; device["pool"] != nil && !given {
			device["newName"] = fmt.Sprintf("net%d", i+1)
		}
		maps.DeleteFunc(device, func(field string, _ any) bool {
			return !slices.Contains(readAlike(), field)
		})
	}
	for _, device := range want {
		maps.DeleteFunc(device, func(field string, _ any) bool { return !slices.Contains(readAlike(), field) })
	}
	if diff := cmp.Diff(want, devices, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q: devices (-here +kubectl's reader):\n%s", text, diff)
	}
}

// readAlike are the fields that have one way to be written.
func readAlike() []string { return []string{"name", "newName", "mtu", "pool", "gsoMaxSize"} }

// FuzzNodeConfig: as FuzzAnnotation.
func FuzzNodeConfig(f *testing.F) {
	f.Add(exampleConfig)
	f.Add(minimalConfig)
	f.Add(minimalConfig + "allow: []\nprotect: []\nmaxDevicesPerPod: 64\nruntimeHandlers: [kata]\nonReturn: down\n")
	f.Add(minimalConfig + "allow:\n- {macs: ['02:00:00:00:00:01'], namespaces: ['*'], settings: ['*']}\n")
	f.Add(minimalConfig + "allow:\n- {pciAddresses: ['0000:3B:*'], namespaces: ['[a-z]?\\*'], settings: []}\n")
	f.Add(minimalConfig + "pools: [{name: a.b-c, devices: ['eth*'], drivers: []}, {name: b, drivers: [veth]}]\n")
	f.Add(minimalConfig + "failurePolicy: {failRequest: false, keepConnected: true}\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse([]byte(text))
		if err != nil {
			return
		}
		written := renderConfig(c)
		again, err := Parse([]byte(written))
		if err != nil {
			t.Fatalf("written out: %v\n%s", err, written)
		}
		if diff := cmp.Diff(c, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("config, written out and read again (-want +got):\n%s", diff)
		}
	})
}

func renderConfig(c *NodeConfig) string {
	text, err := k8syaml.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		*NodeConfig
	}{APIVersion, Kind, c})
	if err != nil {
		panic(err)
	}
	return string(text)
}
