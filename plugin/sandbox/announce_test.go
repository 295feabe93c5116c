package sandbox

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// announcing is a node with a pod that has addresses of its own on eth1.
func announcing(t *testing.T, more string) (*node, *testPod) {
	t.Helper()
	n := newNode(t, strings.Replace(allowAll, "namespaces:", "settings: ['*']\n  namespaces:", 1))
	pod := n.pod("a", "- {name: eth1, newName: net1, addresses: [192.0.2.5/24]"+more+"}\n- {name: eth2, newName: net2, addresses: [192.0.2.6/24]"+more+"}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return n, pod
}

// carrier gives the devices of a pod a carrier, and waits until nothing goes on any more.
func (n *node) carrier(t *testing.T, pod *testPod, devices ...string) {
	t.Helper()
	for _, name := range devices {
		n.namespaceOf(t, pod).Change(name, func(d *netmove.Snapshot) { d.Running = true })
	}
	time.Sleep(time.Hour) // of the bubble's
	synctest.Wait()
}

// heard checks what neighbors have heard of addresses.
func (n *node) heard(t *testing.T, want ...string) {
	t.Helper()
	if got := slices.Sorted(slices.Values(n.Heard())); !slices.Equal(got, want) {
		t.Errorf("neighbors have heard %q, want %q", got, want)
	}
}

const told1, told2 = "net1 192.0.2.5", "net2 192.0.2.6"

// The hook does not wait for the carrier, and nothing is left of announcements that are done.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, pod := announcing(t, "")
		n.heard(t)
		n.carrier(t, pod, "net1", "net2")
		n.heard(t, told1, told1, told1, told2, told2, told2)
		if keys, handles := n.announcements.keys(), n.Handles(); len(keys) > 0 || handles != 0 {
			t.Errorf("left are the announcements %q and %d handles", keys, handles)
		}
		n.told(t, 0, "WARN")
		if err := n.stop(t.Context(), pod); err != nil {
			t.Error(err)
		}
	})
}

func TestSilentPod(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, pod := announcing(t, ", announce: false")
		if watched := n.Watched(); watched != 0 {
			t.Errorf("%d wait for a carrier", watched)
		}
		n.carrier(t, pod, "net1", "net2")
		n.heard(t)
	})
}

// Announcements end with the sandbox, before its devices leave the pod.
func TestAnnouncementsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, pod := announcing(t, "")
		if watched := n.Watched(); watched != 2 {
			t.Errorf("%d wait for a carrier, want both", watched)
		}
		unblock := n.Block()
		stopped := make(chan error)
		go func() { stopped <- n.stop(t.Context(), pod) }()
		synctest.Wait()
		if watched, keys := n.Watched(), n.announcements.keys(); watched != 0 || len(keys) != 0 {
			t.Errorf("while the devices leave, %d wait for a carrier: %q", watched, keys)
		}
		unblock()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		n.heard(t)
	})
}

// A device that an operator wants is announced no more, the pod's other one is.
func TestAnnouncementOfOneEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, pod := announcing(t, "")
		if _, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil {
			t.Fatal(err)
		}
		n.carrier(t, pod, "net2")
		n.heard(t, told2, told2, told2)
	})
}

// A process that starts anew announces nothing again.
func TestRestartAnnouncesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, pod := announcing(t, "")
		for _, device := range n.announcements.keys() {
			n.announcements.end(device)
		}
		n.EndProcess()
		n.start(t, allowAll)
		n.Recover()
		n.carrier(t, pod, "net1", "net2")
		n.heard(t)
	})
}

// That something cannot be announced is told once for each device.
func TestCannotAnnounce(t *testing.T) {
	t.Parallel()
	const begin = "WARN cannot announce the addresses of the device in the pod"
	synctest.Test(t, func(t *testing.T) {
		n, pod := announcing(t, "")
		n.FailAnnounce(6, errors.New("refused"))
		n.carrier(t, pod, "net1", "net2")
		n.told(t, 2, begin)
		n.told(t, 1, begin+" device=eth1 err=refused")
	})
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, allowAll)
		pod := n.pod("a", "- {name: eth1, newName: net1, addresses: [192.0.2.5/24]}")
		opened := 0
		n.log.Hook = func(line string) { // the last line of the attach itself
			if strings.HasPrefix(line, "INFO devices attached") {
				opened++
				n.CannotOpen(true)
			}
		}
		if err := n.run(t.Context(), pod); err != nil || opened != 1 {
			t.Fatal(err, opened)
		}
		synctest.Wait()
		n.told(t, 1, begin+" device=eth1 err=")
		n.CannotOpen(false)
		if err := n.stop(t.Context(), pod); err != nil {
			t.Error(err)
		}
	})
}
