package kernel_test

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A macvlan that the pod built on the device, and one on that, do not outlive
// the return; the host's own macvlan does, and works as before.
func TestUppersOfThePod(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	n.host.IP(t, "link set eth1 up")
	n.host.IP(t, "link add own1 link eth1 type macvlan")
	n.host.IP(t, "link set own1 up")
	n.host.IP(t, "addr add 192.0.2.1/24 dev own1")
	far.IP(t, "addr add 192.0.2.9/24 dev eth1p")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.pod.IP(t, "link add mac1 link net1 type macvlan")
	n.pod.IP(t, "link add mac2 link mac1 type macvlan")
	n.pod.IP(t, "link add br0 type bridge")
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
	left := n.pod.IP(t, "link show")
	if strings.Contains(left, "mac1") || strings.Contains(left, "mac2") || !strings.Contains(left, "br0") {
		t.Errorf("the pod has\n%s", left)
	}
	if out, err := n.host.Command("ping", "-c1", "-W2", "-I", "own1", "192.0.2.9").CombinedOutput(); err != nil {
		t.Errorf("the host's macvlan does not work: %v\n%s", err, out)
	}
}

// A device and the host's macvlan on it go to one pod, and both come home.
func TestDeviceAndItsUpper(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link add own1 link eth1 type macvlan")
	before := n.host.World(t)
	for _, names := range [][]string{{"eth1", "own1"}, {"own1", "eth1"}} {
		plan := n.attach(t, netmove.Request{Device: names[0]}, netmove.Request{Device: names[1]})
		n.giveBack(t, plan)
		sameText(t, "the host after the return", before, n.host.World(t))
	}
}
