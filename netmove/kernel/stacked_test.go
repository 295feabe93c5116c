package kernel_test

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
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

// The pod's XDP program goes, the host's stays, and one that a BPF link holds
// keeps the device down until it goes.
func TestXDPOfThePod(t *testing.T) {
	t.Parallel()
	program := loadXDP(t)
	attach := func(t *testing.T, ns *nstest.NS, dev string, fd int) {
		t.Helper()
		ns.Do(t, func() {
			link, err := netlink.LinkByName(dev)
			if err == nil {
				err = netlink.LinkSetXdpFdWithFlags(link, fd, unix.XDP_FLAGS_SKB_MODE)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	xdp := func(t *testing.T, n *node, dev string) netmove.XDP {
		t.Helper()
		s, err := n.hostNS.Link(dev)
		if err != nil {
			t.Fatal(err)
		}
		return s.XDP
	}
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		n := newNode(t)
		n.veth(t, "eth1")
		n.host.IP(t, "link set eth1 up")
		before := n.host.World(t)
		plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
		attach(t, n.pod, "net1", program)
		n.giveBack(t, plan)
		if got := xdp(t, n, "eth1"); got != (netmove.XDP{}) {
			t.Errorf("a program of the pod's came along: %+v", got)
		}
		sameText(t, "the host after the return", before, n.host.World(t))
	})
	t.Run("the host's stays", func(t *testing.T) {
		t.Parallel()
		n := newNode(t)
		n.veth(t, "eth1")
		attach(t, n.host, "eth1", program)
		before := xdp(t, n, "eth1")
		if before.Generic == 0 {
			t.Fatalf("no program: %+v", before)
		}
		plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
		n.giveBack(t, plan)
		if got := xdp(t, n, "eth1"); got != before {
			t.Errorf("the host's program: %+v, want %+v", got, before)
		}
	})
	t.Run("held by a BPF link", func(t *testing.T) {
		t.Parallel()
		n := newNode(t)
		n.veth(t, "eth1")
		n.host.IP(t, "link set eth1 up")
		before := n.host.World(t)
		plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
		var link int
		n.pod.Do(t, func() { link = linkXDP(t, program, plan[0].PodIndex) })
		err := n.mover.Return(n.podNS, &plan[0])
		if !errors.Is(err, netmove.ErrTainted) {
			t.Errorf("error is %v", err)
		}
		t.Log(err)
		if got := n.host.IP(t, "link show dev eth1"); strings.Contains(got, ",UP") {
			t.Errorf("the device is up with the pod's program on it:\n%s", got)
		}
		if err := unix.Close(link); err != nil { // as with its holder's end
			t.Fatal(err)
		}
		waitXDPGone(t, n)
		n.giveBack(t, plan)
		sameText(t, "the host after the return", before, n.host.World(t))
	})
}

func waitXDPGone(t *testing.T, n *node) {
	t.Helper()
	for range 500 {
		s, err := n.hostNS.Link("eth1")
		if err != nil {
			t.Fatal(err)
		}
		if s.XDP == (netmove.XDP{}) {
			return
		}
		n.host.IP(t, "link show dev lo") // takes a little time
	}
	t.Fatal("the program stays on the device")
}

// bpf is bpf(2).
func bpf(cmd uintptr, attr []uint64) (int, error) {
	r, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)*8))
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// loadXDP loads a program that returns XDP_PASS.
func loadXDP(t *testing.T) int {
	t.Helper()
	insns := []uint64{0x00000002_000000b7, 0x95} // r0 = 2; exit
	license := []byte("GPL\x00")
	attr := make([]uint64, 16)
	attr[0] = unix.BPF_PROG_TYPE_XDP | uint64(len(insns))<<32
	attr[1] = uint64(uintptr(unsafe.Pointer(&insns[0])))
	attr[2] = uint64(uintptr(unsafe.Pointer(&license[0])))
	fd, err := bpf(unix.BPF_PROG_LOAD, attr)
	if err != nil {
		nstest.Unavailable(t, "bpf", "load an XDP program: "+err.Error())
	}
	t.Cleanup(func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	return fd
}

// linkXDP attaches the program through a BPF link.
func linkXDP(t *testing.T, program, index int) int {
	t.Helper()
	attr := []uint64{
		uint64(program) | uint64(index)<<32,
		unix.BPF_XDP | uint64(unix.XDP_FLAGS_SKB_MODE)<<32,
		0, 0,
	}
	fd, err := bpf(unix.BPF_LINK_CREATE, attr)
	if err != nil {
		t.Fatalf("BPF_LINK_CREATE: %v", err)
	}
	return fd
}
