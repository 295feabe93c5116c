package e2e_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// Devices of every kind, with settings at random, go to pods that change what they
// can at random, and return as they were: a sample of the engine's TestGenerated.
func TestGenerated(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.host.Shell(t, "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.ip_forward=1") // CNI has pods forwarded
	before := f.world(t)
	for seed := range sample("NRI_NETDEV_PODS", 4) {
		chance := rand.New(rand.NewPCG(uint64(seed), 1))
		setup := nstest.RandomDevice(chance, "eth1")
		setup.Run(t, f.host)
		device := f.host.Settled(t, "eth1")
		s, ns := f.run(t, pod("p"+strconv.Itoa(seed), "- {name: eth1, newName: net1}"))
		attack := nstest.RandomAttack(chance, "net1")
		out, _ := attack.Run(t, ns)
		f.end(t, s)
		f.host.SameDump(t, "eth1", device)
		if t.Failed() {
			t.Fatalf("seed %d, on the host:\n%s\nin the pod:\n%s\n%s", seed, setup.Text(), attack.Text(), out)
		}
		f.host.Shell(t, "for d in eth1 far low br0 other0; do ip link del $d 2>/dev/null || true; done; ip nexthop flush >/dev/null; for f in 4 6; do ip -$f rule flush; ip -$f rule add table main pref 32766; done; ip rule add table default pref 32767")
	}
	if diff := cmp.Diff(before, f.world(t)); diff != "" {
		t.Errorf("the host before and after (-before +after):\n%s", diff)
	}
}
