package kernel_test

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A NIC spreads what it receives over its queues as the host has told it, also where it had
// been told nothing.
func TestPhysicalReceive(t *testing.T) {
	const setUp = "ethtool -L $d combined 2; ethtool -K $d ntuple on; "
	for name, c := range map[string]struct{ host, pod string }{
		"added": {"true", "ethtool -X $d weight 1 3; ethtool -N $d flow-type ether proto 0x88f7 action 1 loc 5"},
		"changed": {
			"ethtool -X $d weight 1 3; ethtool -N $d flow-type ether proto 0x88f7 action 1 loc 5; ethtool -N $d flow-type ether proto 0x88f8 action 0 loc 6",
			"ethtool -X $d equal 1; ethtool -N $d delete 5; ethtool -N $d delete 6; ethtool -N $d flow-type ether proto 0x88f9 action 1 loc 6",
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := newMachine(t)
			n.host.Shell(t, strings.ReplaceAll(setUp+c.host+"; ip link set $d up", "$d", fourthNIC))
			t.Cleanup(func() {
				n.host.Shell(t, strings.ReplaceAll("ip link set $d down; ethtool -X $d default; for l in 5 6; do ethtool -N $d delete $l || true; done", "$d", fourthNIC))
			})
			before := n.host.Settled(t, fourthNIC)
			plan := n.attach(t, netmove.Request{Device: fourthNIC, PodName: "net1"})
			n.pod.Shell(t, strings.ReplaceAll(c.pod, "$d", "net1"))
			n.giveBackInTime(t, plan)
			n.host.SameDump(t, fourthNIC, before)
		})
	}
}
