package config_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Allow = []config.Rule{
		{Devices: []string{"enp*"}, Namespaces: []string{"telco-*"}, PodNames: []string{"worker-*"}},
		{Devices: []string{"enp1", "enp2"}, Namespaces: []string{"lab"}, AcceptLoss: []string{"qdisc"}},
	}
	c.Protect = []string{"eno*"}
	for _, tc := range []struct {
		name string
		dev  netmove.Snapshot
		want string
	}{
		{"two rules", netmove.Snapshot{Name: "enp1"}, "allow[0] telco-* (worker-*); allow[1] lab"},
		{"no rule", netmove.Snapshot{Name: "eth7"}, "nobody: no allow rule"},
		{"protected", netmove.Snapshot{Name: "eno1"}, "nobody: it is protected by this node's config and never moves"},
		{
			"port",
			netmove.Snapshot{Name: "enp9", Role: netmove.Role{PortOf: "br0"}},
			"nobody: it is a port of another device: only a rule that writes its name out allows it",
		},
		{"loss", netmove.Snapshot{Name: "enp2", Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}}, "allow[1] lab"},
		{
			"loss that nobody accepts",
			netmove.Snapshot{Name: "enp3", Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}},
			"nobody: qdisc (tbf) would be lost: only a rule that accepts it allows it",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := c.Explain(tc.dev).String(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
