package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// The kernel takes altnames until its answer about the device is larger than
// 64 KiB. That must not keep the device in the pod.
func TestAltnameBomb(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	var batch strings.Builder
	for i := range 600 { // more than it takes
		fmt.Fprintf(&batch, "link property add dev net1 altname %s%03d\n", strings.Repeat("x", 120), i)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := n.pod.Command("ip", "-force", "-batch", file).CombinedOutput()
	if err == nil {
		t.Fatalf("the kernel took all of them: %s", out)
	}
	dev, err := n.podNS.ByName("net1")
	if err != nil || len(dev.Altnames) < 400 {
		t.Fatalf("the device has %d altnames, %v", len(dev.Altnames), err)
	}
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
}

// The pod gives our device another's recognisable name, and the other one ours.
func TestRecognisableNamesSwapped(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.pod.IP(t, "link add other type ifb")
	other, err := n.podNS.ByName("other")
	if err != nil {
		t.Fatal(err)
	}
	n.pod.IP(t, "link set net1 name "+other.Identity.RecognisableName())
	n.pod.IP(t, "link set other name "+plan[0].Before.Identity.RecognisableName())
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
}

// A program renames the device, and gives it altnames that the host has, as
// fast as it can while the device is returned. It is never taken for lost.
func TestReturnFromABusyPod(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	before := n.host.World(t)
	for range 20 {
		plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
		index := plan[0].PodIndex
		attacker := open(t, n.pod)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					// Both fail as soon as the device is home.
					_ = attacker.Rename(index, fmt.Sprintf("mine%d", i%2))
					_ = attacker.AddAltname(index, "eth2")
				}
			}
		})
		// What a try cannot do, the sweep's next one does.
		err := n.mover.Return(n.podNS, &plan[0])
		for i := 0; err != nil && i < 100; i++ {
			if errors.Is(err, netmove.ErrLost) {
				t.Errorf("a device that is there is lost: %v", err)
			}
			err = n.mover.Return(n.podNS, &plan[0])
		}
		close(stop)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
	}
	sameText(t, "the host after the return", before, n.host.World(t))
}

// The bridge of a port is gone, and its ifindex is another bridge's.
func TestMasterGone(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link add index 77 name br0 type bridge")
	n.host.IP(t, "link set eth1 master br0 up")
	plan := n.attach(t, netmove.Request{Device: "eth1"})
	n.host.IP(t, "link del br0")
	n.host.IP(t, "link add index 77 name br1 type bridge")
	n.giveBack(t, plan)
	if got := n.host.IP(t, "link show dev eth1"); strings.Contains(got, "master") {
		t.Errorf("the device has another bridge's master:\n%s", got)
	}
}
