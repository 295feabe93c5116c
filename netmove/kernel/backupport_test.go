package kernel_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A port that stays loses its backup port when that leaves the bridge.
func TestBackupPort(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.Shell(t, `
		ip link add br0 type bridge
		for d in eth1 eth2 eth3 eth4; do
			ip link add $d type veth peer name far$d
			ip link set $d master br0
		done
		ip link set eth4 nomaster
		bridge link set dev eth2 backup_port eth1
		bridge link set dev eth3 backup_port eth1`)
	const lost = "eth2 has it as its backup port, eth3 has it as its backup port"
	for dev, want := range map[string]string{"eth1": lost, "eth2": "", "eth4": ""} {
		if got := n.lossesOf(t, dev)[netmove.LossUppers]; got != want {
			t.Errorf("%s: loss is %q, want %q", dev, got, want)
		}
	}
}
