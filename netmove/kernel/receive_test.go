package kernel_test

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A NIC spreads what it receives over its queues as the host has told it, also where it has
// been told nothing.
func TestPhysicalReceive(t *testing.T) {
	for name, c := range map[string]struct{ host, pod string }{
		"added":   {"true", "ethtool -X $d weight 1 3"},
		"changed": {"ethtool -X $d weight 1 3", "ethtool -X $d equal 1"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := newMachine(t)
			n.host.Shell(t, strings.ReplaceAll("ethtool -L $d combined 2; "+c.host+"; ip link set $d up", "$d", fourthNIC))
			t.Cleanup(func() {
				n.host.Shell(t, strings.ReplaceAll("ip link set $d down; ethtool -X $d equal 2", "$d", fourthNIC))
			})
			before := n.host.Settled(t, fourthNIC)
			plan := n.attach(t, netmove.Request{Device: fourthNIC, PodName: "net1"})
			n.pod.Shell(t, strings.ReplaceAll(c.pod, "$d", "net1"))
			n.giveBackInTime(t, plan)
			n.host.SameDump(t, fourthNIC, before)
		})
	}
}
