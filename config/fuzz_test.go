package config

import (
	"maps"
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
		devices[i] = map[string]any{"name": r.Device}
		if r.PodName != "" {
			devices[i]["newName"] = r.PodName
		}
		if r.Addresses != nil {
			devices[i]["addresses"] = r.Addresses
		}
		if r.MTU != 0 {
			devices[i]["mtu"] = r.MTU
		}
		if r.MAC != nil {
			devices[i]["mac"] = r.MAC
		}
	}
	text, err := k8syaml.Marshal(devices)
	if err != nil {
		panic(err)
	}
	return string(text)
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
	for _, device := range devices {
		if name, ok := device["new_name"]; ok {
			device["newName"] = name
		}
		maps.DeleteFunc(device, func(field string, _ any) bool {
			return field != "name" && field != "newName" && field != "mtu"
		})
	}
	for _, device := range want {
		delete(device, "addresses")
		delete(device, "mac")
	}
	if diff := cmp.Diff(want, devices, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%q: devices (-here +kubectl's reader):\n%s", text, diff)
	}
}

// FuzzNodeConfig: as FuzzAnnotation.
func FuzzNodeConfig(f *testing.F) {
	f.Add(exampleConfig)
	f.Add(minimalConfig)
	f.Add(minimalConfig + "allow: []\nprotect: []\nmaxDevicesPerPod: 64\nruntimeHandlers: [kata]\nonReturn: down\n")
	f.Add(minimalConfig + "allow:\n- {macs: ['02:00:00:00:00:01'], namespaces: ['*'], settings: ['*']}\n")
	f.Add(minimalConfig + "allow:\n- {pciAddresses: ['0000:3B:*'], namespaces: ['[a-z]?\\*'], settings: []}\n")
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
