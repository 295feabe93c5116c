package kernel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// The device below limits the MTU, and is named where it is the reason for something.
func TestLower(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "nic0")
	n.host.IP(t, "link add link nic0 name mv0 type macvlan mode bridge")
	for name, want := range map[string]netmove.Lower{
		"mv0":  {Name: "nic0", MTU: 1500},
		"nic0": {}, // the other end of a pair is not below it
		"lo":   {},
	} {
		dev, err := netmove.Read(n.hostNS, name)
		if err != nil || dev.Lower != want {
			t.Errorf("below %s is %+v, %v, want %+v", name, dev.Lower, err, want)
		}
	}
	_, err := n.plan(netmove.Request{Device: "mv0", PodName: "net1", MTU: 9000})
	if err == nil || !strings.Contains(err.Error(), `mtu 9000 is more than the 1500 that the device below, "nic0", allows`) {
		t.Errorf("error is %v", err)
	}
}

// A host that lowers the MTU of the device below meanwhile has the device back, with as much
// as that allows, and is told; and it has the rest when it raises the MTU again.
func TestReturnToLessMTU(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "nic0")
	n.host.Shell(t, "ip link set nic0 up; ip link add link nic0 name mv0 type macvlan mode bridge; ip link set mv0 up; ip addr add 192.0.2.1/24 dev mv0")
	before := n.host.Settled(t, "mv0")
	plan := n.attach(t, netmove.Request{Device: "mv0", PodName: "net1", MTU: 1300})
	n.host.IP(t, "link set nic0 mtu 1400")
	for range 2 {
		err := n.mover.Return(n.podNS, &plan[0])
		minor, ok := errors.AsType[*netmove.MinorError](err)
		onlyMTU := func(s *netmove.StepError) bool { return s.Attribute == "mtu" || s.Attribute == "sysctl ipv6/conf/mtu" }
		if !ok || slices.ContainsFunc(minor.Steps, func(s *netmove.StepError) bool { return !onlyMTU(s) }) || !strings.Contains(err.Error(), `1400 that the device below, "nic0", allows`) {
			t.Errorf("error is %v", err)
		}
		if got := n.host.IP(t, "addr show mv0"); !strings.Contains(got, "mtu 1400") || !strings.Contains(got, "192.0.2.1/24") {
			t.Errorf("it is\n%s", got)
		}
	}
	n.host.IP(t, "link set nic0 mtu 1500")
	n.giveBack(t, plan)
	n.host.SameDump(t, "mv0", before)
}

// A VLAN cannot go up as long as the device below it is down.
func TestLowerDown(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "nic0")
	n.makeOr(t, "vlan", "link add link nic0 name nic0.5 type vlan id 5")
	plan, err := n.plan(netmove.Request{Device: "nic0.5", PodName: "net1"})
	if err == nil {
		err = n.mover.Attach(t.Context(), n.podNS, plan)
	}
	const want = `device "nic0.5": set up: it is built on "nic0": the device below is down: network is down`
	if err == nil || err.Error() != want || !errors.Is(err, netmove.ErrLowerDown) {
		t.Errorf("error is %v, want %s", err, want)
	}
}
