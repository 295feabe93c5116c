package config_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Allow = []config.AllowRule{
		{Devices: []string{"enp*"}, Namespaces: []string{"telco-*"}, PodNames: []string{"worker-*"}},
		{Devices: []string{"enp1", "enp2"}, Namespaces: []string{"lab"}, AcceptLoss: []string{"qdisc"}},
	}
	c.Protect = []string{"eno*"}
	for _, tc := range []struct {
		name string
		dev  netmove.Device
		want string
	}{
		{"two rules", netmove.Device{Snapshot: netmove.Snapshot{Name: "enp1"}}, "allow[0] telco-* (worker-*); allow[1] lab"},
		{"no rule", netmove.Device{Snapshot: netmove.Snapshot{Name: "eth7"}}, "nobody: no allow rule"},
		{
			"no rule, and losses",
			netmove.Device{Snapshot: netmove.Snapshot{Name: "eth7"}, Facts: netmove.Facts{Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}}},
			"nobody: no allow rule",
		},
		{
			"no rule, and a role",
			netmove.Device{Snapshot: netmove.Snapshot{Name: "eth7"}, Facts: netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default table main", Device: "eth7"}}}},
			"nobody: it carries the node's default route and never moves: default table main",
		},
		{"protected", netmove.Device{Snapshot: netmove.Snapshot{Name: "eno1"}}, "nobody: it is protected by this node's config and never moves"},
		{
			"port",
			netmove.Device{Snapshot: netmove.Snapshot{Name: "enp9"}, Facts: netmove.Facts{Role: netmove.Role{PortOf: "br0"}}},
			"nobody: it is a port of another device: only a rule that writes its name out allows it",
		},
		{"loss", netmove.Device{Snapshot: netmove.Snapshot{Name: "enp2"}, Facts: netmove.Facts{Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}}}, "allow[1] lab; loses qdisc (tbf)"},
		{
			"loss that nobody accepts",
			netmove.Device{Snapshot: netmove.Snapshot{Name: "enp3"}, Facts: netmove.Facts{Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}}},
			"nobody: qdisc (tbf) would be lost: only a rule that accepts it allows it",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := c.Explain(tc.dev).String(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			// Losses are read only if a rule allows the device without facts.
			fast := tc.dev
			if len(c.Explain(netmove.Device{Snapshot: tc.dev.Snapshot}).Rules) == 0 {
				fast.Loss = nil
			}
			if got := c.Explain(fast).String(); got != tc.want {
				t.Errorf("by its role alone %s\nwant %s", got, tc.want)
			}
		})
	}
}

// A refusal tells the node's owner of each rule why it does not allow it.
func TestRules(t *testing.T) {
	t.Parallel()
	c := config.Default()
	everybody := []string{"*"}
	c.Allow = []config.AllowRule{
		{Devices: []string{"enp1"}, Namespaces: []string{"lab"}},
		{Devices: []string{"enp1"}, Namespaces: everybody, PodNames: []string{"worker-*"}},
		{Devices: []string{"eth*"}, Namespaces: everybody},
		{Drivers: []string{"ice"}, Namespaces: everybody},
		{PCIAddresses: []string{"0000:*"}, Namespaces: everybody},
		{MACs: []netmove.MAC{{2, 0, 0, 0, 0, 1}}, Namespaces: everybody},
		{Devices: []string{"enp*"}, Namespaces: everybody},
		{Devices: []string{"enp1"}, Namespaces: everybody, Settings: []string{"mac"}},
		{Devices: []string{"enp1"}, Namespaces: everybody, Settings: []string{"mtu", "sysctls"}},
	}
	dev := netmove.Device{
		Snapshot: netmove.Snapshot{Name: "enp1", Identity: netmove.Identity{Kind: "veth"}},
		Facts:    netmove.Facts{Role: netmove.Role{ForeignPeer: true}, Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}},
	}
	req := netmove.Request{Device: "enp1", MTU: 1400, Sysctls: map[string]string{"ipv4/arp_ignore": "1"}}
	_, err := c.AllowDevice(config.Pod{Namespace: "default", Name: "a"}, req, dev)
	denied, ok := errors.AsType[*config.DeniedError](err)
	if !ok {
		t.Fatalf("error %v", err)
	}
	want := []string{
		"allow[0]: namespaces do not match",
		"allow[1]: podNames do not match",
		"allow[2]: devices do not match",
		"allow[3]: drivers do not match",
		"allow[4]: pciAddresses do not match",
		"allow[5]: macs do not match",
		"allow[6]: its other end is in another network namespace, and its devices do not write the name out",
		"allow[7]: settings do not allow mtu, sysctls",
		"allow[8]: acceptLoss does not accept qdisc (tbf)",
	}
	if diff := cmp.Diff(want, denied.Rules()); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}
