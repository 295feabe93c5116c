package kernel_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// What the kernel is watched at.
const (
	request = "a netlink request"
	opening = "opening a network namespace"
)

// watched is a kernel whose requests are stuck until it tells of that.
type watched struct {
	kernel.Linux
	mu      sync.Mutex
	want    string // what is to be stuck; on a busy machine other requests may seem to be
	release func()
	told    []string
	ended   chan string
}

func watch() *watched {
	w := &watched{release: func() {}, ended: make(chan string, 100)}
	w.Patience = 50 * time.Millisecond
	w.Stuck = func(what string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if what == w.want {
			w.told = append(w.told, what)
			w.release()
		}
	}
	w.Unstuck = func(what string, took time.Duration) {
		if took < w.Patience {
			what += " ended in time"
		}
		w.ended <- what
	}
	return w
}

// stuck calls f, which cannot end before release is called, and checks that the kernel
// tells of one stuck request, and of its end.
func (w *watched) stuck(t *testing.T, what string, release func(), f func() error) error {
	t.Helper()
	release = sync.OnceFunc(release)
	w.mu.Lock()
	w.want, w.release, w.told = what, release, nil
	w.mu.Unlock()
	const patience = time.Minute
	unwatched := time.AfterFunc(patience, release)
	err := f()
	if !unwatched.Stop() {
		t.Error("nobody was told")
		return err
	}
	w.mu.Lock()
	if len(w.told) == 0 {
		t.Errorf("%q is not told of", what)
	}
	w.mu.Unlock()
	for ended := range w.ended {
		if ended == what {
			break
		}
		if ended == what+" ended in time" {
			t.Error(ended)
			break
		}
	}
	return err
}

// open opens a namespace that is watched.
func (w *watched) open(t *testing.T, path string) *kernel.Namespace {
	t.Helper()
	ns, err := w.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// Every verb that waits for RTNL is watched, whichever way it asks the kernel.
func TestStuck(t *testing.T) {
	host, other := nstest.New(t), nstest.New(t)
	host.Shell(t, "ip link add eth1 type veth peer name eth2; ip link add eth3 type veth peer name eth4")
	xdpByNetlink(t, host, "eth2")
	tcxByLink(t, host, "eth1", ebpf.AttachTCXIngress)
	tcxByProgram(t, host, "eth2", ebpf.AttachTCXEgress)
	w := watch()
	ns, to := w.open(t, host.Path()), w.open(t, other.Path())
	one, two, three := deviceIndex(t, host, "eth1"), deviceIndex(t, host, "eth2"), deviceIndex(t, host, "eth3")
	xdp, tcx, link := program(t, ns, two, netmove.XDPGeneric), program(t, ns, two, netmove.TCXEgress), program(t, ns, one, netmove.TCXIngress)
	look := netmove.Snapshot{Identity: netmove.Identity{Index: one}}
	for _, c := range []struct {
		name, what string
		do         func() error
	}{
		{"set up", request, func() error { return ns.SetUp(one, true) }},
		{"rename", request, func() error { return ns.Rename(three, "eth5") }},
		{"altname", request, func() error { return ns.AddAltname(one, "other") }},
		{"look", request, func() error { return ns.Fill(&look, netmove.PartLink) }},
		{"features", request, func() error { _, err := ns.Features(one); return err }},
		{"XDP", request, func() error { return ns.Detach(two, xdp) }},
		{"TCX link", "detaching a BPF program", func() error { return ns.Detach(one, link) }},
		{"TCX", "work in a network namespace", func() error { return ns.Detach(two, tcx) }},
		{"move", request, func() error { return ns.Move(three, to, "net1", 0) }},
	} {
		if !t.Run(c.name, func(t *testing.T) {
			if err := w.stuck(t, c.what, nstest.HoldRTNL(t), c.do); err != nil {
				t.Error(err)
			}
		}) {
			return
		}
	}
}

// program finds the device's program at that hook.
func program(t *testing.T, ns *kernel.Namespace, index int, hook netmove.Hook) netmove.Program {
	t.Helper()
	list, err := ns.Programs(withIndex(index))
	for _, p := range list {
		if p.Hook == hook {
			return p
		}
	}
	t.Fatalf("no program at %v: %v, %v", hook, list, err)
	return netmove.Program{}
}

// Opening a namespace is watched, and so is what is asked of one that was opened by its
// pin. A FIFO without a writer is a file that does not open.
func TestStuckPin(t *testing.T) {
	w := watch()
	ns := w.open(t, nstest.New(t).Path())
	path := filepath.Join(t.TempDir(), "pin")
	write := func() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		_ = f.Close()
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	err := w.stuck(t, opening, write, func() error { _, err := w.Open(path); return err })
	if !errors.Is(err, netmove.ErrNotNamespace) {
		t.Errorf("open a FIFO: %v", err)
	}
	if err := w.stuck(t, opening, write, func() error { return w.Pin(ns, path) }); err != nil {
		t.Fatal(err)
	}
	pinned, err := w.OpenNamespace(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.stuck(t, request, nstest.HoldRTNL(t), func() error { return pinned.SetUp(netmove.LoopbackIndex, true) }); err != nil {
		t.Error(err)
	}
	if err := errors.Join(pinned.Close(), w.Unpin(path)); err != nil {
		t.Error(err)
	}
}

// A namespace that is opened by its id is watched as the one is that knows it. Whatever
// comes before is done by the time that RTNL is held.
func TestStuckNsid(t *testing.T) {
	n := newNode(t)
	n.veth(t, "eth1")
	nested := nstest.New(t)
	n.host.Shell(t, "ip link add mac1 link eth1 type macvlan; ip link set mac1 netns "+n.pod.Path())
	n.pod.IP(t, "link set mac1 netns "+nested.Path())
	inhabit(t, nested)
	w, asked, last := watch(), 0, 0
	held := make(chan func(), 1)
	w.Asked = func() {
		if asked++; asked == last {
			held <- nstest.HoldRTNL(t)
		}
	}
	host, pod := w.open(t, n.host.Path()), w.open(t, n.pod.Path())
	index := deviceIndex(t, n.host, "eth1")
	look := func() error {
		list, err := pod.Stacked(host, index)
		if len(list) != 1 || list[0].Identity.Inode == 0 {
			t.Errorf("found %v", list)
		}
		return err
	}
	if err := look(); err != nil {
		t.Fatal(err)
	}
	last, asked = asked, 0
	if err := w.stuck(t, request, func() { (<-held)() }, look); err != nil {
		t.Error(err)
	}
}

// What is asked of a file system that does not answer is watched.
func TestStuckFileSystem(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(w *watched, path string) error
	}{
		{opening, func(w *watched, path string) error { _, err := w.Open(path); return err }},
		{"looking at a network namespace", func(w *watched, path string) error { _, err := w.InodeAt(path); return err }},
		{"unpinning a network namespace", func(w *watched, path string) error { return w.Unpin(path) }},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := watch()
			path, answer := deaf(t)
			if err := w.stuck(t, c.what, answer, func() error { return c.do(w, path) }); err == nil {
				t.Error("there is a file system")
			}
		})
	}
}

// deaf mounts a file system that nobody serves (fuse(4)), and returns the path of a file
// in it. Whoever looks for the file waits for answer, which ends the file system.
func deaf(t *testing.T) (path string, answer func()) {
	t.Helper()
	dir := t.TempDir()
	server, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		nstest.Unavailable(t, "fuse", err.Error())
	}
	options := "fd=" + strconv.Itoa(server) + ",rootmode=40000,user_id=0,group_id=0"
	if err := unix.Mount("nobody", dir, "fuse", 0, options); err != nil {
		t.Fatal(errors.Join(err, unix.Close(server)))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return filepath.Join(dir, "netns"), func() {
		if err := unix.Close(server); err != nil {
			t.Error(err)
		}
	}
}
