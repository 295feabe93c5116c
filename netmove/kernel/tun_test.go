package kernel_test

import (
	"errors"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// queue attaches to a tap device, as a process in the namespace does.
func queue(t *testing.T, ns *nstest.NS, dev string, flags uint16) *os.File {
	t.Helper()
	return queueAs(t, ns, dev, unix.IFF_NO_PI|flags)
}

func queueAs(t *testing.T, ns *nstest.NS, dev string, flags uint16) *os.File {
	t.Helper()
	request, err := unix.NewIfreq(dev)
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_TAP | flags)
	var file *os.File
	ns.Do(t, func() {
		if file, err = os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { file.Close() }) // closed already, if all went well
	if err := unix.IoctlIfreq(int(file.Fd()), unix.TUNSETIFF, request); err != nil {
		t.Fatal(err)
	}
	return file
}

// A process of the pod's that still reads a tap keeps it down at home.
func TestQueueHeldByThePod(t *testing.T) {
	t.Parallel()
	const detachQueue = 0x400 // IFF_DETACH_QUEUE of linux/if_tun.h
	for name, c := range map[string]struct {
		mode string
		hold func(t *testing.T, n *node) *os.File
	}{
		"alone": {"mode tap", func(t *testing.T, n *node) *os.File { return queue(t, n.pod, "net1", 0) }},
		"without a carrier": {"mode tap", func(t *testing.T, n *node) *os.File {
			f := queue(t, n.pod, "net1", 0)
			n.pod.IP(t, "link set net1 carrier off")
			return f
		}},
		"of several": {"mode tap multi_queue", func(t *testing.T, n *node) *os.File {
			return queue(t, n.pod, "net1", unix.IFF_MULTI_QUEUE)
		}},
		"of several, let go for now": {"mode tap multi_queue", func(t *testing.T, n *node) *os.File {
			f := queue(t, n.pod, "net1", unix.IFF_MULTI_QUEUE)
			request, err := unix.NewIfreq("")
			if err != nil {
				t.Fatal(err)
			}
			request.SetUint16(detachQueue)
			if err := unix.IoctlIfreq(int(f.Fd()), unix.TUNSETQUEUE, request); err != nil {
				t.Fatal(err)
			}
			return f
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.IP(t, "tuntap add t0 "+c.mode)
			n.host.Shell(t, "ip link set t0 up; ip addr add 192.0.2.1/24 dev t0")
			before := n.host.Settled(t, "t0")
			plan := n.attach(t, netmove.Request{Device: "t0", PodName: "net1"})
			file := c.hold(t, n)
			if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrTainted) {
				t.Errorf("error is %v, want %v", err, netmove.ErrTainted)
			}
			if dev, err := netmove.Read(n.hostNS, "t0"); err != nil || dev.Flags.Up || len(dev.Addresses) > 0 {
				t.Errorf("up is %t with addresses %v, %v; want it down without", dev.Flags.Up, dev.Addresses, err)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
			n.giveBack(t, plan)
			n.host.SameDump(t, "t0", before)
		})
	}
}

// A process of the host's may go on with its tap.
func TestQueueHeldByTheHost(t *testing.T) {
	t.Parallel()
	for _, flags := range []uint16{0, unix.IFF_MULTI_QUEUE} {
		n := newNode(t)
		n.host.IP(t, "tuntap add t0 mode tap"+map[uint16]string{unix.IFF_MULTI_QUEUE: " multi_queue"}[flags])
		file := queue(t, n.host, "t0", flags)
		n.host.IP(t, "link set t0 up")
		before := n.host.Settled(t, "t0")
		plan := n.attach(t, netmove.Request{Device: "t0", PodName: "net1", DetachBPF: true})
		n.giveBack(t, plan)
		n.host.SameDump(t, "t0", before)
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Whoever looks at a tap changes nothing, and nobody who wants it or listens notices: who asks
// for more than that is a pod that gets it.
func TestReadingATapIsQuiet(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before string
		hold   bool
		after  string
	}{
		"free":              {"ip tuntap add t0 mode tap", false, ""},
		"free, up":          {"ip tuntap add t0 mode tap; ip link set t0 up", false, ""},
		"free, of several":  {"ip tuntap add t0 mode tap multi_queue; ip link set t0 up", false, ""},
		"tun":               {"ip tuntap add t0 mode tun; ip link set t0 up", false, ""},
		"held":              {"ip tuntap add t0 mode tap; ip link set t0 up", true, ""},
		"without a carrier": {"ip tuntap add t0 mode tap; ip link set t0 up", true, "ip link set t0 carrier off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.Shell(t, c.before)
			if c.hold {
				queue(t, n.host, "t0", 0)
			}
			n.host.Shell(t, c.after)
			n.host.Settled(t, "t0")
			carriers := func() string {
				return regexp.MustCompile(`"carrier_changes":\d+`).FindString(n.host.IP(t, "-j -s -s link show t0"))
			}
			before, told := carriers(), n.listen(t)
			if _, err := netmove.Read(n.hostNS, "t0"); err != nil {
				t.Fatal(err)
			}
			if list := told(); len(list) > 0 {
				t.Errorf("the kernel has told of changes of %q", list)
			}
			if after := carriers(); before == "" || before != after {
				t.Errorf("the kernel counts %s, and then %s", before, after)
			}
		})
	}
}

// listen hears what the kernel tells of the host's devices from now on, until told is called.
func (n *node) listen(t *testing.T) (told func() []string) {
	t.Helper()
	const end = "that is all"
	n.host.IP(t, "link set lo alias begin") // after what is being told now
	ns, err := netns.GetFromPath(n.host.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	heard, done := make(chan netlink.LinkUpdate, 64), make(chan struct{})
	t.Cleanup(func() { close(done) })
	if err := netlink.LinkSubscribeAt(ns, heard, done); err != nil {
		t.Fatal(err)
	}
	return func() (names []string) {
		n.host.IP(t, "link", "set", "lo", "alias", end)
		for u := range heard {
			if u.Attrs().Alias == end {
				break
			}
			names = append(names, u.Attrs().Name)
		}
		return names
	}
}

// The host's tap has the headers again that it had.
func TestReturnTunFlags(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"mode tap", "mode tap vnet_hdr", "mode tap pi", "mode tap pi vnet_hdr"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.IP(t, "tuntap add t0 "+mode)
			before := n.host.Settled(t, "t0")
			plan := n.attach(t, netmove.Request{Device: "t0", PodName: "net1"})
			for _, flags := range []uint16{unix.IFF_VNET_HDR, 0} {
				if err := queue(t, n.pod, "net1", flags).Close(); err != nil {
					t.Fatal(err)
				}
				if dump := n.pod.Dump(t, "net1"); flags != 0 && !strings.Contains(dump, "vnet_hdr on") {
					t.Errorf("the pod has changed nothing:\n%s", dump)
				}
			}
			n.giveBack(t, plan)
			n.host.SameDump(t, "t0", before)
		})
	}
}

// The link type of a tap that has come home by itself, and is up, is put back with the tap down
// for a moment.
func TestReturnLinkTypeWhileUp(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.IP(t, "tuntap add t0 mode tap")
	n.host.Shell(t, "ip link set t0 up; ip addr add 192.0.2.1/24 dev t0")
	before := n.host.Settled(t, "t0")
	plan := n.attach(t, netmove.Request{Device: "t0", PodName: "net1"})
	n.pod.IP(t, "link set net1 down")
	file := queue(t, n.pod, "net1", 0)
	if err := errors.Join(unix.IoctlSetInt(int(file.Fd()), unix.TUNSETLINK, unix.ARPHRD_INFINIBAND), file.Close()); err != nil {
		t.Fatal(err)
	}
	n.pod.IP(t, "link set net1 netns "+n.host.Path())
	n.host.IP(t, "link set net1 up")
	n.giveBack(t, plan)
	n.host.SameDump(t, "t0", before)
}

// A filter of the pod's has the kernel give the tap a carrier, and the process that it is for no
// queue (tun_attach): that is no process that holds one.
func TestCarrierWithoutQueue(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.IP(t, "tuntap add t0 mode tap pi")
	before := n.host.Settled(t, "t0")
	plan := n.attach(t, netmove.Request{Device: "t0", PodName: "net1"})
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	filter := unix.SockFprog{Len: 1, Filter: &program[0]}
	file := queueAs(t, n.pod, "net1", 0)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), unix.TUNATTACHFILTER, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		t.Fatal(errno)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	queueAs(t, n.pod, "net1", 0)
	n.giveBack(t, plan)
	n.host.SameDump(t, "t0", before)
	runtime.KeepAlive(program)
}
