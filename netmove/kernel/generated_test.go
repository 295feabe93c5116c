package kernel_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// seedsEnv is for more devices than a test run has time for.
const seedsEnv = "NRI_NETDEV_SEEDS"

// TestGenerated makes devices of every kind with settings at random, gives each to
// a pod that changes what it can at random, takes it back, and finds it as it was.
func TestGenerated(t *testing.T) {
	t.Parallel()
	seeds := 60
	if testing.Short() {
		seeds = 20
	}
	if n, err := strconv.Atoi(os.Getenv(seedsEnv)); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(uint64(seed), 0))
			n := newNode(t)
			// Without the detection of duplicates there is nothing to wait for.
			n.host.Shell(t, "sysctl -qw net.ipv6.conf.default.accept_dad=0")
			setup := nstest.RandomDevice(chance, "eth1")
			n.host.Shell(t, setup)
			before := n.host.Settled(t, "eth1")
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			attack := nstest.RandomAttack(chance, "net1")
			out, err := n.pod.Command("sh", "-c", attack).CombinedOutput()
			n.giveBack(t, plan)
			n.host.SameDump(t, "eth1", before)
			if t.Failed() {
				t.Logf("on the host:\n%s\nin the pod:\n%s\n%s %v", setup, attack, out, err)
			}
		})
	}
}
