package kernel_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// shell runs a script on the host, unless this machine lacks what it needs.
func (n *node) shell(t *testing.T, what, script string) {
	t.Helper()
	if out, err := n.host.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		nstest.Unavailable(t, what, script+": "+string(out))
	}
}

// Chains and flowtables of nftables name devices.
func TestLossOfNFT(t *testing.T) {
	t.Parallel()
	for script, loss := range map[string]string{
		"table netdev t { chain c { type filter hook ingress device \"eth1\" priority 0; }; }":                  "chain c of table t",
		"table netdev t { chain c { type filter hook ingress devices = { \"eth1\", \"eth2\" } priority 0; }; }": "chain c of table t",
		"table inet t { chain c { type filter hook ingress device \"eth1\" priority 0; }; }":                    "chain c of table t",
		"table netdev t { chain c { type filter hook ingress device \"eth2\" priority 0; }; }":                  "",
		"table inet t { chain c { type filter hook input priority 0; iifname \"eth1\" drop; }; }":               "",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.veth(t, "eth2")
			n.shell(t, "nft", "nft '"+script+"'")
			if got := n.lossesOf(t, "eth1")[netmove.LossNFT]; got != loss {
				t.Errorf("loss is %q, want %q", got, loss)
			}
		})
	}
}

// A redirect to the device leads nowhere when it has been away.
func TestLossOfRedirects(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	redirect := "protocol all u32 match u32 0 0 action mirred egress redirect dev "
	n.shell(t, "tc", `
		tc qdisc add dev eth2 clsact
		tc filter add dev eth2 ingress prio 1 `+redirect+`eth1
		tc filter add dev eth2 ingress prio 2 `+redirect+`eth2`)
	if got := n.lossesOf(t, "eth1")[netmove.LossQdisc]; got != "1 actions (mirred) send frames to it" {
		t.Errorf("loss is %q", got)
	}
	n.giveBack(t, n.attach(t, netmove.Request{Device: "eth1"}))
	if got := n.lossesOf(t, "eth1"); len(got) != 0 {
		t.Errorf("the kernel has put it back, %q: allow it?", got)
	}
}
