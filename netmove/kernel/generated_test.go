package kernel_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// seedsEnv is for more devices than a test run has time for.
const seedsEnv = "NRI_NETDEV_SEEDS"

// TestGenerated makes devices of every kind with settings at random, gives each to
// a pod that changes and adds what it can at random, takes it back, and finds it, and
// all else on the host, as it was.
func TestGenerated(t *testing.T) {
	t.Parallel()
	seeds := 16
	if testing.Short() {
		seeds = 6
	}
	if n, err := strconv.Atoi(os.Getenv(seedsEnv)); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(uint64(seed), 0))
			h := history{device: nstest.RandomDevice(chance, "eth1").Lines, attack: nstest.RandomAttack(chance, "net1").Lines}
			if chance.IntN(3) == 0 {
				h.node = nstest.RandomNode(chance, "eth1").Lines
			}
			if wrong := h.play(t, time.Minute); wrong != "" {
				least, wrong := h.least(t, wrong)
				t.Errorf("%s\n%s", least, wrong)
			}
		})
	}
}

// history is what a host and then a pod do to a device, in lines of scripts.
type history struct{ device, node, attack []string }

func (h history) String() string {
	return fmt.Sprintf("on the host:\n%s\n%s\nin the pod:\n%s", strings.Join(h.device, "\n"), strings.Join(h.node, "\n"), strings.Join(h.attack, "\n"))
}

// play gives the device to the pod and takes it back, and tells what is wrong then,
// after as long as that. A device that is refused is as it was.
func (h history) play(t *testing.T, patience time.Duration) (wrong string) {
	t.Helper()
	n, nested := newNode(t), nstest.New(t)
	// Without the detection of duplicates there is nothing to wait for.
	n.host.Shell(t, "sysctl -qw net.ipv6.conf.default.accept_dad=0")
	nstest.Script{Device: "eth1", Lines: slices.Concat(h.device, h.node)}.Run(t, n.host)
	if _, err := n.host.TryIP("link show eth1"); err != nil {
		return ""
	}
	before := n.host.SettledWhole(t)
	snapshot, err := netmove.Read(n.hostNS, "eth1")
	if err != nil {
		return err.Error()
	}
	if len(snapshot.Loss) > 0 {
		return ""
	}
	plan, err := n.plan(netmove.Request{Device: "eth1", PodName: "net1"})
	if err == nil {
		err = n.mover.Attach(t.Context(), n.podNS, plan)
	}
	if err != nil {
		return err.Error()
	}
	_, end := nstest.Script{Device: "net1", Places: []*nstest.NS{nested}, Lines: h.attack}.Run(t, n.pod)
	err = n.returnTainted(&plan[0], end, patience)
	n.pod.Shell(t, podEnds)
	wrong = nstest.Differs(before, func() string { return n.host.Whole(t) }, patience)
	if err != nil && !errors.Is(err, netmove.ErrLost) {
		wrong += err.Error()
	}
	return wrong
}

// returnTainted returns a device on which something of the pod's may be left: a queue of a tap
// that a process of it holds. The device is quarantined then, and is as it was once the process
// has ended.
func (n *node) returnTainted(a *netmove.Attachment, end func(), patience time.Duration) error {
	const pause = 20 * time.Millisecond
	err := n.mover.Return(n.podNS, a)
	if errors.Is(err, netmove.ErrTainted) {
		end()
	}
	for deadline := time.Now().Add(patience); errors.Is(err, netmove.ErrTainted) && time.Now().Before(deadline); time.Sleep(pause) {
		err = n.mover.Return(n.podNS, a)
	}
	return err
}

// podEnds removes what goes with the pod's namespace: what the pod has built on a macvlan of
// the host's is beside that, on the device below.
const podEnds = "for kind in macvlan macvtap ipvlan; do ip -o link show type $kind; done | while IFS=': @' read -r _ d _; do ip link del $d; done"

// least leaves away what does not matter for something to be wrong.
func (h history) least(t *testing.T, wrong string) (history, string) {
	t.Helper()
	for _, lines := range []*[]string{&h.node, &h.attack, &h.device} {
		for size := max(len(*lines), 1); size > 0; size /= 2 {
			for at := 0; at < len(*lines); {
				all := *lines
				*lines = slices.Delete(slices.Clone(all), at, min(at+size, len(all)))
				if w := h.play(t, 4*time.Second); w != "" {
					wrong = w
				} else {
					*lines = all
					at += size
				}
			}
		}
	}
	return h, wrong
}
