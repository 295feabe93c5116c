package kernel_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// NICs of the virtual machine, all on one wire, under the names that udev gives
// them. It runs: a NIC that comes home is a new one to it, and it must change nothing.
const (
	firstNIC  = "enp0s2" // e1000e
	secondNIC = "enp0s3" // e1000e
	thirdNIC  = "enp0s4" // virtio
	fourthNIC = "enp1s0" // igb, with virtual functions
	canNIC    = "can0"   // kvaser_pci
)

// nics are one of each driver.
func nics() []string { return []string{firstNIC, thirdNIC} }

// newMachine is a node whose host is the machine itself: the kernel brings
// hardware home to the first namespace only. Tests of it do not run in
// parallel. The pod is one that ends with end.
func newMachine(t *testing.T) (n *node, end func()) {
	t.Helper()
	if os.Getenv("NRI_NETDEV_VM") == "" {
		nstest.Unavailable(t, "nic", "physical NICs are in the virtual machine of tests/vm only")
	}
	n = &node{host: nstest.At("/proc/1/ns/net"), pod: nstest.New(t)}
	n.hostNS = open(t, n.host)
	var err error
	if n.podNS, err = (kernel.Linux{}).Open(n.pod.Path()); err != nil {
		t.Fatal(err)
	}
	n.mover = &netmove.Mover{Now: kernel.Linux{}.Now, Host: n.hostNS, Log: slog.New(slog.DiscardHandler)}
	over := false
	end = func() {
		if !over {
			over = true
			if err := n.podNS.Close(); err != nil {
				t.Error(err)
			}
			n.pod.Remove(t)
		}
	}
	t.Cleanup(end)
	return n, end
}

// dress gives a NIC what a host gives it.
func (n *node) dress(t *testing.T, dev string) {
	t.Helper()
	n.host.Shell(t, strings.ReplaceAll(`
		ip link set $d alias rack-3 txqueuelen 77
		ip link property add dev $d altname alt-$d
		sysctl -qw net.ipv4.conf.$d.arp_ignore=1
		ip link set $d up
		until grep -q 1 /sys/class/net/$d/carrier; do sleep 0.1; done
		ip addr add 192.0.2.1/24 dev $d
		ip addr add 2001:db8::1/64 dev $d
		ip route add 10.1.0.0/16 via 192.0.2.254`, "$d", dev))
	t.Cleanup(func() {
		n.host.Shell(t, strings.ReplaceAll(`
			ip link set $d down
			ip addr flush dev $d
			ip link property del dev $d altname alt-$d`, "$d", dev))
	})
}

func TestPhysical(t *testing.T) {
	for _, dev := range nics() {
		t.Run(dev, func(t *testing.T) {
			n, _ := newMachine(t)
			n.dress(t, dev)
			n.returnsExactly(t, dev)
		})
	}
}

// The pod's namespace dies, with nobody holding it: the kernel brings the NIC
// home under the pod's name, or as dev<N>, with what the pod gave it.
func TestPhysicalBroughtHomeByTheKernel(t *testing.T) {
	for _, dev := range nics() {
		t.Run(dev, func(t *testing.T) {
			n, end := newMachine(t)
			n.dress(t, dev)
			n.broughtHome(t, end, dev, "theirs1")
		})
	}
	t.Run("the name is taken", func(t *testing.T) {
		n, end := newMachine(t)
		n.host.IP(t, "link add theirs1 type dummy")
		t.Cleanup(func() { n.host.IP(t, "link del theirs1") })
		n.dress(t, secondNIC)
		n.broughtHome(t, end, secondNIC, "dev")
	})
}

// broughtHome expects the device under a name that begins with name.
func (n *node) broughtHome(t *testing.T, end func(), dev, name string) {
	t.Helper()
	before := n.host.Settled(t, dev)
	plan := n.attach(t, netmove.Request{Device: dev, PodName: "net1"})
	n.pod.Shell(t, "ip link set net1 down; ip link set net1 name theirs1 mtu 1300 address 02:66:66:66:66:66 alias theirs; ip link set theirs1 up")
	end()
	id := plan[0].Before.Identity
	home := eventually(t, func() (netmove.Snapshot, error) { return n.hostNS.Find(id, id.Index) })
	if home.MTU != 1300 || !strings.HasPrefix(home.Name, name) {
		t.Errorf("%s is home as %q with MTU %d", dev, home.Name, home.MTU)
	}
	if err := n.mover.Return(nil, &plan[0]); err != nil {
		t.Error(err)
	}
	n.host.SameDump(t, dev, before)
}

// eventually looks for a device until it is there.
func eventually(t *testing.T, look func() (netmove.Snapshot, error)) netmove.Snapshot {
	t.Helper()
	const patience, pause = 10 * time.Second, 20 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		dev, err := look()
		if err == nil {
			return dev
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// What the hardware is told, the pod can change, and so it can the settings of virtual
// functions that others have. igb takes a rate only with a carrier, which a NIC has not
// yet that has just come home.
func TestPhysicalSettings(t *testing.T) {
	for _, tc := range []struct{ dev, host, pod string }{
		{
			firstNIC, "ethtool -G $d rx 512 tx 128; ethtool -C $d rx-usecs 50; ethtool -A $d autoneg off rx off; ethtool -s $d msglvl 15",
			"ethtool -G $d rx 1024 tx 80; ethtool -C $d rx-usecs 99; ethtool -A $d autoneg on; ethtool -s $d msglvl 1; ethtool -s $d autoneg off speed 10 duplex half",
		},
		{fourthNIC, `
			echo 2 >/sys/class/net/$d/device/sriov_numvfs
			ip link set $d vf 0 mac 02:00:00:00:aa:00 vlan 7 qos 2
			ip link set $d vf 0 spoofchk off
			ip link set $d vf 1 trust on
			ip link set $d up
			until grep -q 1 /sys/class/net/$d/carrier; do sleep 0.1; done
			ip link set $d vf 0 max_tx_rate 100
			ethtool -G $d rx 512; ethtool -L $d combined 2; ethtool -s $d wol g`, `
			ip link set $d vf 0 mac 02:66:66:66:66:66 vlan 66
			ip link set $d vf 0 spoofchk on
			ip link set $d vf 1 trust off vlan 67
			until ip link show $d | grep -q LOWER_UP; do sleep 0.1; done
			ip link set $d vf 0 max_tx_rate 50
			ethtool -G $d rx 80; ethtool -X $d default; ethtool -L $d combined 1; ethtool -s $d wol d; ethtool --set-priv-flags $d legacy-rx on`},
		{
			canNIC, "ip link set $d type can bitrate 125000 restart-ms 100 listen-only on",
			"ip link set $d down; ip link set $d type can bitrate 250000 restart-ms 7 listen-only off; ip link set $d up",
		},
	} {
		t.Run(tc.dev, func(t *testing.T) {
			n, _ := newMachine(t)
			n.host.Shell(t, "set -e; "+strings.ReplaceAll(tc.host, "$d", tc.dev)+"; ip link set "+tc.dev+" up")
			t.Cleanup(func() {
				n.host.Shell(t, "ip link set "+tc.dev+" down; ! grep -q 2 /sys/class/net/"+tc.dev+"/device/sriov_numvfs || echo 0 >/sys/class/net/"+tc.dev+"/device/sriov_numvfs")
			})
			before := n.host.Settled(t, tc.dev)
			plan := n.attach(t, netmove.Request{Device: tc.dev, PodName: "net1"})
			n.pod.Shell(t, "set -e; "+strings.ReplaceAll(tc.pod, "$d", "net1"))
			n.giveBackInTime(t, plan)
			n.host.SameDump(t, tc.dev, before)
		})
	}
}

// giveBackInTime tries again, as the plugin does.
func (n *node) giveBackInTime(t *testing.T, plan netmove.Plan) {
	t.Helper()
	const tries = 4
	var err error
	for range tries {
		if err = n.mover.Return(n.podNS, &plan[0]); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	t.Error(err)
}

// A virtual function goes to a pod like any NIC, though igbvf lets the pod change its
// permanent MAC (igbvf_reset). It is lost when the physical function takes it back.
func TestPhysicalVirtualFunction(t *testing.T) {
	n, _ := newMachine(t)
	const vf = fourthNIC + "v1"
	number := "/sys/class/net/" + fourthNIC + "/device/sriov_numvfs"
	n.host.Shell(t, strings.NewReplacer("$n", number, "$pf", fourthNIC, "$vf", vf).Replace(`
		echo 0 >$n
		ip link set $pf up
		echo 2 >$n
		udevadm settle
		ip link set $vf up
		until grep -q 1 /sys/class/net/$vf/carrier; do sleep 0.1; done`))
	t.Cleanup(func() { n.host.IP(t, "link set "+fourthNIC+" down") })
	n.returnsExactly(t, vf)
	plan := n.attach(t, netmove.Request{Device: vf, PodName: "net1"})
	n.host.Shell(t, "echo 0 >"+number)
	if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrLost) {
		t.Errorf("error is %v, want %v", err, netmove.ErrLost)
	}
}

// Frames pass between a NIC in a pod and one of the host's, over the wire.
func TestPhysicalTraffic(t *testing.T) {
	n, _ := newMachine(t)
	n.dress(t, firstNIC)
	n.host.Shell(t, strings.ReplaceAll("ip link set $d up; until grep -q 1 /sys/class/net/$d/carrier; do sleep 0.1; done; "+
		"ip addr add 192.0.2.2/24 dev $d; ip addr add 2001:db8::2/64 dev $d nodad", "$d", secondNIC))
	t.Cleanup(func() { n.host.Shell(t, "ip addr flush dev "+secondNIC+"; ip link set "+secondNIC+" down") })
	plan := n.attach(t, netmove.Request{Device: firstNIC, PodName: "net1"})
	for _, to := range []string{"192.0.2.2", "2001:db8::2"} {
		if out, err := n.pod.Command("ping", "-c1", "-w10", to).CombinedOutput(); err != nil {
			t.Errorf("ping from the pod: %v: %s", err, out)
		}
	}
	n.giveBack(t, plan)
}

// The driver lets go of the NIC while a pod has it: it is lost, and comes back as
// another device.
func TestPhysicalUnbound(t *testing.T) {
	n, _ := newMachine(t)
	plan := n.attach(t, netmove.Request{Device: secondNIC, PodName: "net1"})
	id := plan[0].Before.Identity
	driver := filepath.Join("/sys/bus", id.Bus, "drivers", id.Driver)
	write := func(file string) {
		if err := os.WriteFile(filepath.Join(driver, file), []byte(id.Parent), 0); err != nil {
			t.Fatal(err)
		}
	}
	write("unbind")
	if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrLost) {
		t.Errorf("error is %v, want %v", err, netmove.ErrLost)
	}
	write("bind")
	anew := eventually(t, func() (netmove.Snapshot, error) { return n.hostNS.ByName(secondNIC) })
	if anew.Identity.Parent != id.Parent || anew.Identity.Same(id) {
		t.Errorf("the NIC is back as %+v", anew.Identity)
	}
}

// Devices of the host's on a NIC work again when that is home. Each has a NIC of
// its own: what a macvlan listens to stays with that.
func TestPhysicalWithUppers(t *testing.T) {
	for _, tc := range []struct{ dev, kind, options string }{
		{firstNIC, "vlan", "id 5"}, {secondNIC, "macvlan", "mode bridge"}, {thirdNIC, "ipvlan", "mode l2"},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			n, _ := newMachine(t)
			n.dress(t, tc.dev)
			n.host.Shell(t, fmt.Sprintf("ip link add link %s name up0 type %s %s", tc.dev, tc.kind, tc.options)+`
				ip link set up0 up
				ip addr add 198.51.100.1/24 dev up0
				ip addr add 2001:db8:5::1/64 dev up0
				ip route add 10.5.0.0/16 via 198.51.100.9`)
			t.Cleanup(func() { n.host.IP(t, "link del up0") })
			before := n.host.Settled(t, "up0")
			n.returnsExactly(t, tc.dev)
			n.host.SameDump(t, "up0", before)
		})
	}
}
