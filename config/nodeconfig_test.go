package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const minimalConfig = "apiVersion: netdev.noderesource.dev/v1alpha1\nkind: NodeConfig\n"

// exampleConfig is the documentation's, without pools.
const exampleConfig = `apiVersion: netdev.noderesource.dev/v1alpha1
kind: NodeConfig
allow:                              # nothing moves unless a rule allows it
- devices: ["enp2s2f*"]             # globs over kernel names; an altname matches only if written exactly
  drivers: ["mlx5_core"]            # optional, as are pciAddresses (globs) and macs; all given must hold
  namespaces: ["telco-*"]           # globs over the pod's namespace; required
  podNames: ["worker-*"]            # optional
  settings: [addresses, mtu]        # optional fields the pod may set; default: addresses, address, routes, neighbors, mtu; "*" = all
  acceptLoss: [qdisc]               # host state that cannot be put back and may be lost; default none: such a device is refused, with the reason
pools:
- {name: fast, devices: ["enp2s2f*"], drivers: []}
protect: ["bond0", "eno*"]          # never movable, besides those below
maxDevicesPerPod: 16                # at most 64
runtimeHandlers: ["", "runc"]       # pods of other handlers (Kata, gVisor: a move after their start is invisible inside) are refused
failurePolicy: {failRequest: true, keepConnected: false}   # for runtimes with NRI ≥ 0.12.5
onReturn: restore                   # restore: as before | down: name back, left down, without addresses
`

// with returns the default config after a change.
func with(change func(*NodeConfig)) *NodeConfig {
	c := Default()
	change(c)
	return c
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       *NodeConfig
	}{
		{"minimal", minimalConfig, Default()},
		{"JSON", `{"kind": "NodeConfig", "apiVersion": "netdev.noderesource.dev/v1alpha1"}`, Default()},
		{
			name: "of the documentation",
			text: exampleConfig,
			want: with(func(c *NodeConfig) {
				c.Allow = []AllowRule{{
					Devices:    []string{"enp2s2f*"},
					Drivers:    []string{"mlx5_core"},
					Namespaces: []string{"telco-*"},
					PodNames:   []string{"worker-*"},
					Settings:   []string{"addresses", "mtu"},
					AcceptLoss: []string{"qdisc"},
				}}
				c.Pools = []Pool{{Name: "fast", Devices: []string{"enp2s2f*"}, Drivers: []string{}}}
				c.Protect = []string{"bond0", "eno*"}
			}),
		},
		{
			name: "nothing as by default",
			text: minimalConfig + `
allow:
- {devices: ["*"], namespaces: ["*"]}
- {pciAddresses: ["0000:3B:00.?"], macs: [02-00-00-00-00-01], namespaces: [a], settings: ["*"]}
maxDevicesPerPod: 64
runtimeHandlers: [kata]
failurePolicy: {keepConnected: true, failRequest: false}
onReturn: down
`,
			want: &NodeConfig{
				Allow: []AllowRule{
					{Devices: []string{"*"}, Namespaces: []string{"*"}, Settings: []string{"addresses", "address", "routes", "neighbors", "mtu"}},
					{
						PCIAddresses: []string{"0000:3b:00.?"}, MACs: []netmove.MAC{{2, 0, 0, 0, 0, 1}},
						Namespaces: []string{"a"}, Settings: []string{"*"},
					},
				},
				MaxDevicesPerPod: 64,
				RuntimeHandlers:  []string{"kata"},
				FailurePolicy:    FailurePolicy{KeepConnected: true},
				OnReturn:         Down,
			},
		},
		{
			name: "half a failure policy",
			text: minimalConfig + "failurePolicy: {keepConnected: true}\n",
			want: with(func(c *NodeConfig) { c.FailurePolicy.KeepConnected = true }),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse([]byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseProblems(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "empty: want apiVersion: netdev.noderesource.dev/v1alpha1 and kind: NodeConfig"},
		{"comment only", "# later\n", "empty: want apiVersion: netdev.noderesource.dev/v1alpha1 and kind: NodeConfig"},
		{"NULs, as after a crash", "\x00\x00", "line 1: character U+0000 is not allowed"},
		{"truncated", minimalConfig + "protect: [\"bond0\", \"en", "not YAML: line 3: found unexpected end of stream"},
		{"a list", "[]", "want a mapping, not a list"},
		{"an empty mapping", "{}", "apiVersion: required\nkind: required"},
		{"another kind", "apiVersion: v1\nkind: ConfigMap\n", "apiVersion: want \"netdev.noderesource.dev/v1alpha1\", not \"v1\"\nkind: want \"NodeConfig\", not \"ConfigMap\""},
		{"two documents", minimalConfig + "---\n" + minimalConfig, "more than one YAML document: only one is read"},
		{"unknown field", minimalConfig + "alow: []\n", `unknown field "alow": did you mean "allow"?`},
		{"pool without a name", minimalConfig + "pools: [{devices: [a]}]\n", "pools[0].name: required"},
		{"pool without devices", minimalConfig + "pools: [{name: a}]\n", "pools[0]: has no device: want devices or drivers"},
		{"pool with empty lists", minimalConfig + "pools: [{name: a, devices: [], drivers: []}]\n", "pools[0]: has no device: devices and drivers are empty"},
		{"pool twice", minimalConfig + "pools: [{name: a, devices: [a]}, {name: a, devices: [b]}]\n", `pools[1].name: there is a pool "a" already`},
		{"pool, bad glob", minimalConfig + "pools: [{name: a, devices: ['[']}]\n", `pools[0].devices[0]: "[" is not a glob: a "[" or a "\" in it has no end`},
		{"null", minimalConfig + "allow:\n", "allow: null is not allowed: write a list, or leave it out"},
		{"anchors", minimalConfig + "protect: [&a b, *a]\n", "line 3: anchors (&), aliases (*) and tags (!) are not allowed"},

		{"rule without namespaces", minimalConfig + "allow:\n- devices: [a]\n", "allow[0].namespaces: required"},
		{"rule without devices", minimalConfig + "allow:\n- namespaces: [a]\n", "allow[0]: names no device: want devices, drivers, pciAddresses or macs"},
		{"rule with empty lists", minimalConfig + "allow:\n- {devices: [], namespaces: []}\n", "allow[0].devices: an empty list matches nothing: leave it out, or list something\nallow[0].namespaces: an empty list matches nothing: leave it out, or list something"},
		{"rule, bad globs", minimalConfig + "allow:\n- {devices: ['[', ''], namespaces: [a/b]}\n", "allow[0].devices[0]: \"[\" is not a glob: a \"[\" or a \"\\\" in it has no end\nallow[0].devices[1]: empty: want a name or a glob\nallow[0].namespaces[0]: \"a/b\" never matches: no name has a \"/\""},
		{"rule, glob for a driver", minimalConfig + "allow:\n- {drivers: [mlx5_*], namespaces: [a]}\n", `allow[0].drivers[0]: "mlx5_*" is not the name of a driver, and globs are not for drivers`},
		{"rule, bad MAC", minimalConfig + "allow:\n- {macs: ['02:*'], namespaces: [a]}\n", `allow[0].macs[0]: "02:*" is not a MAC address such as "02:00:00:00:00:01"`},
		{"rule, unknown setting", minimalConfig + "allow:\n- {devices: [a], namespaces: [a], settings: [MTU]}\n", `allow[0].settings[0]: unknown setting "MTU": did you mean "mtu"?`},
		{"rule, unknown loss", minimalConfig + "allow:\n- {devices: [a], namespaces: [a], acceptLoss: [filters]}\n", `allow[0].acceptLoss[0]: unknown loss "filters"`},
		{"rule, a word", minimalConfig + "allow: [eth0]\n", "allow[0]: want a mapping, not a string"},
		{"namespace no", minimalConfig + "allow:\n- {devices: [a], namespaces: [no]}\n", `allow[0].namespaces[0]: want a string: YAML reads "no" as a boolean, unless it is in quotes`},

		{"no devices", minimalConfig + "maxDevicesPerPod: 0\n", "maxDevicesPerPod: 0 is not between 1 and 64"},
		{"too many devices", minimalConfig + "maxDevicesPerPod: 65\n", "maxDevicesPerPod: 65 is not between 1 and 64"},
		{"no handlers", minimalConfig + "runtimeHandlers: []\n", "runtimeHandlers: an empty list matches nothing: leave it out, or list something"},
		{"policy, yes", minimalConfig + "failurePolicy: {failRequest: yes, keepConnected: 'true'}\n", "failurePolicy.failRequest: want true or false, not yes\nfailurePolicy.keepConnected: want a boolean, not a string"},
		{"policy, a word", minimalConfig + "failurePolicy: fail\n", "failurePolicy: want a mapping, not a string"},
		{"onReturn", minimalConfig + "onReturn: Down\n", `onReturn: want "restore" or "down", not "Down"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Parse([]byte(tc.text))
			if c != nil || err == nil {
				t.Fatalf("config %v, error %v", c, err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"valid", minimalConfig, ""},
		{"invalid", minimalConfig + "onReturn: up\n", path + `: onReturn: want "restore" or "down", not "up"`},
		{"too long", minimalConfig + strings.Repeat("#", maxNodeConfig), path + ": 1048577 bytes long, at most 1048576 are allowed"},
	} {
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); errorText(err) != tc.want {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}
