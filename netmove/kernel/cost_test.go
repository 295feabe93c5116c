package kernel_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// What an attach and a return cost that does not depend on the machine: netlink requests.
// Whoever needs one more writes it here, and why in the commit.
const (
	attachRequests = 41 // of a veth with one address of either family
	returnRequests = 53
)

// costly makes a host with a veth that has that many addresses of either family, and that
// many other devices, and counts the requests of an attach and a return.
func costly(t *testing.T, addresses, others int) (attach, giveBack int64) {
	t.Helper()
	var requests atomic.Int64
	linux := kernel.Linux{Asked: func() { requests.Add(1) }}
	host, pod, far := nstest.New(t), nstest.New(t), nstest.New(t)
	host.Veth(t, "eth1", far, "eth1p")
	far.IP(t, "link set eth1p up")
	host.Shell(t, "sysctl -qw net.ipv6.conf.eth1.addr_gen_mode=1; ip link set eth1 up")
	for i := range addresses {
		host.IP(t, fmt.Sprintf("addr add 10.0.%d.1/24 dev eth1", i))
		host.IP(t, fmt.Sprintf("addr add 2001:db8:%d::1/64 dev eth1 nodad", i))
	}
	for i := range others {
		host.IP(t, fmt.Sprintf("link add x%d type veth peer name y%d", i, i))
	}
	ns, err := linux.Open(host.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	m := &netmove.Mover{Now: linux.Now, Host: ns, Log: slog.New(slog.DiscardHandler)}
	for range 2 { // the first one finds out what a veth does not have
		requests.Store(0)
		plan, inside := attachOnce(t, m, linux, pod)
		attach = requests.Swap(0)
		if err := m.Return(inside, &plan[0]); err != nil {
			t.Fatal(err)
		}
		giveBack = requests.Load()
		if err := inside.Close(); err != nil {
			t.Error(err)
		}
	}
	return attach, giveBack
}

// attachOnce is an attach from the annotation on, as the plugin does it.
func attachOnce(t testing.TB, m *netmove.Mover, linux kernel.Linux, pod *nstest.NS) (netmove.Plan, netmove.Namespace) {
	t.Helper()
	inside, err := linux.OpenNamespace(pod.Path())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := netmove.Read(m.Host, "eth1")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := netmove.NewPlan([]netmove.Request{{Device: "eth1", PodName: "net1"}}, []netmove.Device{dev})
	if err == nil {
		err = m.Prepare(inside, plan)
	}
	if err == nil {
		err = m.Attach(t.Context(), inside, plan)
	}
	if err != nil {
		t.Fatal(err)
	}
	return plan, inside
}

// The number of requests is what it was, and does not grow with what else is on the
// host. An address costs one request more on either way.
func TestRequests(t *testing.T) {
	t.Parallel()
	attach, giveBack := costly(t, 1, 0)
	if attach > attachRequests || giveBack > returnRequests {
		t.Errorf("%d requests for an attach, %d for a return: want %d and %d at most", attach, giveBack, attachRequests, returnRequests)
	}
	if a, g := costly(t, 1, 20); a != attach || g != giveBack {
		t.Errorf("with 40 other devices: %d and %d requests, without %d and %d", a, g, attach, giveBack)
	}
	const more = 7
	if a, g := costly(t, 1+more, 0); a != attach+2*more || g != giveBack+2*more {
		t.Errorf("with %d addresses more: %d and %d requests, without %d and %d", 2*more, a, g, attach, giveBack)
	}
}

// readingAll is how many requests it takes to read all devices of a host that has so many
// pairs of them, and knows so many other namespaces.
func readingAll(t *testing.T, pairs, namespaces int, mayGo func(netmove.Snapshot) bool) (requests int) {
	t.Helper()
	linux := kernel.Linux{Asked: func() { requests++ }}
	host := nstest.New(t)
	for range namespaces {
		// An id is for as long as the namespace is there.
		host.Veth(t, "gone", nstest.New(t), "away")
		host.IP(t, "link del gone")
	}
	for i := range pairs {
		host.Shell(t, fmt.Sprintf("ip link add x%[1]d type veth peer name y%[1]d; ip link set x%[1]d up; ip addr add 10.0.%[1]d.1/24 dev x%[1]d", i))
	}
	ns, err := linux.Open(host.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	for range 2 { // the first one finds out what a veth does not have
		requests = 0
		if list, err := netmove.ReadAll(ns, mayGo); err != nil || len(list) != 1+2*pairs {
			t.Fatalf("%d devices, %v", len(list), err)
		}
	}
	return requests
}

// What other namespaces have on devices, and what all routes are to them, is looked at once for
// all devices.
func TestRequestsForAll(t *testing.T) {
	t.Parallel()
	one, two, three := readingAll(t, 1, 1, all), readingAll(t, 2, 1, all), readingAll(t, 3, 1, all)
	if two-one != three-two {
		t.Errorf("%d, %d, %d requests for one, two, three pairs of devices", one, two, three)
	}
	const more = 5
	few, many := readingAll(t, 1, 1+more, all)-one, readingAll(t, 3, 1+more, all)-three
	if few != more || many != more {
		t.Errorf("for %d more namespaces %d requests with one pair of devices, and %d with three", more, few, many)
	}
	// A device that cannot go is looked for, found again for its addresses and its role, and
	// asked for the addresses.
	const each = 4
	none := func(netmove.Snapshot) bool { return false }
	if few, many := readingAll(t, 1, 1, none), readingAll(t, 3, 1, none); many-few != 2*2*each {
		t.Errorf("%d and %d requests for one and three pairs of devices that cannot go", few, many)
	}
}

// The devices of a pod are read together: what the routes of others are to them is one look.
func TestRequestsForSome(t *testing.T) {
	t.Parallel()
	requests := 0
	linux := kernel.Linux{Asked: func() { requests++ }}
	host := nstest.New(t)
	host.Veth(t, "gone", nstest.New(t), "away")
	host.IP(t, "link del gone")
	var names []string
	for i := range 4 {
		host.Shell(t, fmt.Sprintf("ip link add x%[1]d type veth peer name y%[1]d; ip link set x%[1]d up; ip addr add 10.0.%[1]d.1/24 dev x%[1]d", i))
		names = append(names, fmt.Sprintf("x%d", i))
	}
	ns, err := linux.Open(host.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	read := func(names ...string) int {
		requests = 0
		if _, errs := netmove.ReadEach(ns, names...); errors.Join(errs...) != nil {
			t.Fatal(errs)
		}
		return requests
	}
	read(names...)    // finds out what a veth does not have
	const shared = 10 // two dumps of own routes, two of rules, three of tables, and three about other namespaces
	one, two, four := read(names[:1]...), read(names[:2]...), read(names...)
	if four-two != 2*(one-shared) {
		t.Errorf("%d, %d, %d requests for one, two, four devices: two more want %d", one, two, four, 2*(one-shared))
	}
}

// systemCalls bounds the calls about files and sockets of an attach and its return,
// together.
const systemCalls = 1250

// roundsEnv has the test run that many attaches and returns, and count nothing.
const roundsEnv = "NRI_NETDEV_ROUNDS"

// TestSystemCalls counts them with strace(1), in processes that differ by ten rounds. They
// look for what they have left behind, so no other test runs meanwhile.
func TestSystemCalls(t *testing.T) {
	if n, err := strconv.Atoi(os.Getenv(roundsEnv)); err == nil {
		rounds(t, n)
		return
	}
	if _, err := exec.LookPath("strace"); err != nil {
		nstest.Unavailable(t, "strace", err.Error())
	}
	const few, many, tries = 2, 12, 5
	var counts []int
	for range tries { // on a busy machine a process waits longer for what it has left
		n := (straced(t, many) - straced(t, few)) / (many - few)
		if counts = append(counts, n); n >= 100 && n <= systemCalls {
			t.Logf("%d system calls for an attach and a return", counts)
			return
		}
	}
	t.Errorf("%d system calls for an attach and a return: want %d at most", counts, systemCalls)
}

func rounds(t *testing.T, n int) {
	t.Helper()
	linux := kernel.Linux{}
	host, pod, far := nstest.New(t), nstest.New(t), nstest.New(t)
	host.Veth(t, "eth1", far, "eth1p")
	host.Shell(t, "ip link set eth1 up; ip addr add 192.0.2.1/24 dev eth1; ip addr add 2001:db8::1/64 dev eth1 nodad")
	ns, err := linux.Open(host.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	m := &netmove.Mover{Now: linux.Now, Host: ns, Log: slog.New(slog.DiscardHandler)}
	for range n {
		plan, inside := attachOnce(t, m, linux, pod)
		if err := m.Return(inside, &plan[0]); err != nil {
			t.Fatal(err)
		}
		if err := inside.Close(); err != nil {
			t.Error(err)
		}
	}
}

// straced is how many calls a process makes that runs so many rounds. Those of Go's
// scheduler and of its memory depend on the weather.
func straced(t *testing.T, n int) int {
	t.Helper()
	out := filepath.Join(t.TempDir(), "calls")
	cmd := exec.Command("strace", "-f", "-c", "-U", "calls,name", "-o", out, "-e",
		"trace=openat,open,read,pread64,close,sendto,recvfrom,setns,ioctl,bpf,fsopen,fsmount,fsconfig,getsockopt,setsockopt,socket,fstat,newfstatat,readlink,readlinkat,getdents64,write",
		os.Args[0], "-test.run", "^TestSystemCalls$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", roundsEnv, n))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, bytes.TrimSpace(text))
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	total := regexp.MustCompile(`(?m)^ *(\d+) +total$`).FindStringSubmatch(string(data))
	if total == nil {
		t.Fatalf("no total in\n%s", data)
	}
	calls, err := strconv.Atoi(strings.TrimSpace(total[1]))
	if err != nil {
		t.Fatal(err)
	}
	return calls
}
