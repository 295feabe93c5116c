package kernel_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// A macvlan that the pod moved on to a namespace that a descriptor keeps alive
// is gone with the pod; until then it had the device's frames.
func TestNestedUpper(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	far.IP(t, "addr add 192.0.2.9/24 dev eth1p")
	n.host.IP(t, "link set eth1 up")
	n.host.IP(t, "addr add 192.0.2.1/24 dev eth1")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	nested := n.nest(t, "net1", "mac1")
	nested.IP(t, "link set mac1 address 02:00:00:00:00:66 up")
	held := hold(t, nested)
	if got := received(t, far, held); got == 0 {
		t.Fatal("the macvlan receives nothing from the start")
	}
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
	if got := received(t, far, held); got > 0 {
		t.Errorf("the macvlan has %d frames of the host's", got)
	}
	if left := held.IP(t, "link"); strings.Contains(left, "mac1") {
		t.Errorf("the nested namespace has\n%s", left)
	}
}

// A process sits in the nested namespace, and the pod has moved its end of a
// cable to the host there, so that the host knows that namespace.
func TestNestedUpperHidden(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link set eth1 up")
	before := n.host.World(t)
	n.host.Veth(t, "cable", n.pod, "eth0")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	nested := n.nest(t, "net1", "mac1")
	n.pod.IP(t, "link set eth0 netns "+nested.Path())
	n.host.IP(t, "link") // has the kernel give the namespace an id on the host

	err := n.mover.Return(n.podNS, &plan[0])
	if !errors.Is(err, netmove.ErrStacked) || !strings.Contains(fmt.Sprint(err), `"mac1"`) {
		t.Errorf("nobody in it: error is %v", err)
	}
	if got := n.host.IP(t, "link show dev eth1"); strings.Contains(got, ",UP") {
		t.Errorf("the device is up with the pod's macvlan on it:\n%s", got)
	}
	inhabit(t, nested)
	n.giveBack(t, plan)
	if left := nested.IP(t, "link"); strings.Contains(left, "mac1") {
		t.Errorf("the nested namespace has\n%s", left)
	}
	n.host.IP(t, "link del cable")
	sameText(t, "the host after the return", before, n.host.World(t))
}

// Macvlans that others had on the device before the pod was stay, though the
// pod's namespace knows where they are.
func TestUppersOfOthers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link set eth1 up")
	n.host.IP(t, "link add own1 link eth1 type macvlan")
	others := map[string]*nstest.NS{"moved": nstest.New(t), "created": nstest.New(t)}
	n.host.IP(t, "link add mac1 link eth1 type macvlan")
	n.host.IP(t, "link set mac1 netns "+others["moved"].Path())
	n.host.IP(t, "link", "add", "mac1", "link", "eth1", "netns", others["created"].Path(), "type", "macvlan")
	n.pod = nstest.New(t)
	n.podNS = open(t, n.pod)
	before := n.host.World(t)
	for name, other := range others {
		inhabit(t, other)
		n.pod.Veth(t, name, other, "eth0")
	}
	n.pod.IP(t, "link") // has the kernel give them ids in the pod
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
	for name, other := range others {
		if got, err := other.TryIP("link show mac1"); err != nil {
			t.Errorf("the macvlan that was %s there: %v %s", name, err, got)
		}
	}
}

// The same, and nobody is in the other's namespace, which the host knows: it
// cannot be told from one that the pod hides, and stays.
func TestUpperOfOthersUnclear(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	other := nstest.New(t)
	n.host.IP(t, "link add mac1 link eth1 type macvlan")
	n.host.IP(t, "link set mac1 netns "+other.Path())
	n.pod.Veth(t, "cable", other, "eth0")
	n.pod.IP(t, "link")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrStacked) {
		t.Errorf("error is %v", err)
	}
	other.IP(t, "link del mac1") // fails if it is gone
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
}

// The device came home by way of a third namespace, as hardware does whose
// namespace dies, and the pod's namespace has never had to do with the host's.
func TestUpperOfAStray(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.IP(t, "link add eth1 type ifb")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1"})
	third := nstest.New(t)
	n.pod.IP(t, "link add mac1 link eth1 type macvlan")
	n.pod.IP(t, "link set eth1 netns "+third.Path())
	third.IP(t, "link set eth1 netns "+n.host.Path())
	n.giveBack(t, plan)
	if left := n.pod.IP(t, "link"); strings.Contains(left, "mac1") {
		t.Errorf("left behind:\n%s", left)
	}
	sameText(t, "the host after the return", before, n.host.World(t))
}

// What docs/kernel.md says is out of reach: what the pod's namespace has never had
// in it, or what went on from where the pod sent it. It stays for as long as
// somebody who is not of the pod holds its namespace.
func TestUppersOutOfReach(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	created, moved, movedOn := nstest.New(t), n.nest(t, "net1", "mac1"), nstest.New(t)
	n.pod.IP(t, "link", "add", "mac1", "link", "net1", "netns", created.Path(), "type", "macvlan")
	moved.IP(t, "link set mac1 netns "+movedOn.Path())
	n.giveBack(t, plan)
	for _, ns := range []*nstest.NS{created, movedOn} {
		if _, err := ns.TryIP("link show mac1"); err != nil {
			t.Errorf("it is in reach, and docs/kernel.md is wrong: %v", err)
		}
	}
}

// What docs/kernel.md says of pods in the host's user namespace: they can build on
// a device of the host's that was never theirs, and delete it.
func TestPodBuildsOnTheHost(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.Veth(t, "cable", n.pod, "eth0")
	n.host.IP(t, "link add eno1 type ifb")
	n.pod.IP(t, "link") // has the kernel give the host id 0 in the pod
	index := deviceIndex(t, n.host, "eno1")
	n.pod.IP(t, "link", "add", "mac1", "link", fmt.Sprintf("if%d", index), "link-netnsid", "0", "type", "macvlan")
	eno1 := netmove.Upper{Nsid: 0, Snapshot: netmove.Snapshot{Identity: netmove.Identity{Index: index}}}
	if err := n.podNS.Unstack(eno1); err != nil { // a socket of the pod's
		t.Error(err)
	}
}

// The kernel itself deletes a VXLAN device when what it sends through leaves the
// namespace that it was made in, wherever it is.
func TestNestedVXLAN(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	nested := nstest.New(t)
	n.pod.IP(t, "link add vx1 type vxlan id 5 dev net1 dstport 4789")
	n.pod.IP(t, "link set vx1 netns "+nested.Path())
	n.giveBack(t, plan)
	if left := nested.IP(t, "link"); strings.Contains(left, "vx1") {
		t.Errorf("left behind:\n%s", left)
	}
}

// The nested namespace ends before the return, or while it goes on.
func TestNestedNamespaceEnds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	before := n.host.World(t)
	for i := range 10 {
		plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
		nested := n.nest(t, "net1", "mac1")
		end := time.AfterFunc(time.Duration(i)*time.Millisecond, func() { nested.Remove(t) })
		n.giveBack(t, plan)
		end.Stop()
		sameText(t, "the host after the return", before, n.host.World(t))
	}
}

// A process in the pod builds macvlans on the device as fast as it can, and moves
// them on, while the device is returned.
func TestUppersFromABusyPod(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link set eth1 up")
	before := n.host.World(t)
	nested := nstest.New(t)
	for range 5 {
		plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
		stop := n.stack(t, plan[0].PodIndex, nested)
		err := n.mover.Return(n.podNS, &plan[0])
		for i := 0; err != nil && i < 100; i++ {
			err = n.mover.Return(n.podNS, &plan[0])
		}
		stop()
		if err != nil {
			t.Fatal(err)
		}
		for _, ns := range []*nstest.NS{nested, n.pod} {
			if left := ns.IP(t, "link"); strings.Contains(left, "macvlan") {
				t.Errorf("left behind:\n%s", left)
			}
		}
	}
	sameText(t, "the host after the return", before, n.host.World(t))
}

// stack does that until stop is called.
func (n *node) stack(t *testing.T, index int, nested *nstest.NS) (stop func()) {
	t.Helper()
	pod, err := netns.GetFromPath(n.pod.Path())
	if err != nil {
		t.Fatal(err)
	}
	to, err := netns.GetFromPath(nested.Path())
	if err != nil {
		t.Fatal(err)
	}
	attacker, err := netlink.NewHandleAt(pod)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				// Fails as soon as the device is gone from the pod.
				l := netlink.NewLinkAttrs()
				l.Name, l.ParentIndex = fmt.Sprintf("macvlan%d", i), index
				if attacker.LinkAdd(&netlink.Macvlan{LinkAttrs: l}) == nil && i%2 == 0 {
					if m, err := attacker.LinkByName(l.Name); err == nil {
						_ = attacker.LinkSetNsFd(m, int(to)) // it may be deleted already
					}
				}
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		attacker.Close()
		if err := errors.Join(pod.Close(), to.Close()); err != nil {
			t.Error(err)
		}
	}
}

// What a return costs when nothing is nested.
func BenchmarkStacked(b *testing.B) {
	host, pod := nstest.New(b), nstest.New(b)
	host.Veth(b, "cable", pod, "eth0")
	pod.IP(b, "link")
	hostNS, err := kernel.Linux{}.Open(host.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer hostNS.Close()
	podNS, err := kernel.Linux{}.Open(pod.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer podNS.Close()
	for b.Loop() {
		if found, err := podNS.Stacked(hostNS, 77); err != nil || len(found) > 0 {
			b.Fatal(found, err)
		}
	}
}

// nest has the pod build a macvlan on its device, and move it to a new namespace
// that it alone knows.
func (n *node) nest(t *testing.T, dev, name string) *nstest.NS {
	t.Helper()
	nested := nstest.New(t)
	n.pod.IP(t, "link add "+name+" link "+dev+" type macvlan")
	n.pod.IP(t, "link set "+name+" netns "+nested.Path())
	return nested
}

// hold leaves a namespace to a descriptor alone.
func hold(t *testing.T, ns *nstest.NS) *nstest.NS {
	t.Helper()
	f, err := os.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	ns.Remove(t)
	return nstest.At(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()))
}

// inhabit puts a process into the namespace until the test ends.
func inhabit(t *testing.T, ns *nstest.NS) {
	t.Helper()
	cmd := ns.Command("cat")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	for range 500 { // nsenter(1) needs a moment
		if in, err := (kernel.Linux{}).Inhabits(cmd.Process.Pid, open(t, ns).Inode()); in || err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the process is elsewhere")
}

// received has the far end send to the macvlan's MAC, and counts what arrives.
func received(t *testing.T, far, ns *nstest.NS) int {
	t.Helper()
	far.IP(t, "neigh replace 192.0.2.66 lladdr 02:00:00:00:00:66 dev eth1p")
	_ = far.Command("ping", "-c3", "-i0.05", "-W1", "192.0.2.66").Run() // nobody answers
	out, err := ns.Command("sh", "-c", "cat /proc/net/dev").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, line, found := strings.Cut(string(out), "mac1:")
	var bytes, packets int
	if found {
		if _, err := fmt.Sscan(line, &bytes, &packets); err != nil {
			t.Fatal(err)
		}
	}
	return packets
}
