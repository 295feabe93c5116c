package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// told is a pod's device with addresses that its neighbor is to be told of.
func told(edit ...func(*netmove.Request)) netmove.Request {
	r := netmove.Request{
		Device: "eth1", PodName: "net1", MAC: netmove.MAC{2, 0, 0, 0, 0, 5},
		Addresses: []netip.Prefix{prefix("192.0.2.5/24"), prefix("2001:db8::5/64")},
	}
	for _, f := range edit {
		f(&r)
	}
	return r
}

const (
	told4 = "192.0.2.5 is at 02:00:00:00:00:05"
	told6 = "2001:db8::5 is at 02:00:00:00:00:05"
)

func silent(r *netmove.Request) { r.Announce = new(false) }

func withSysctls(sysctls ...string) func(*netmove.Request) {
	return func(r *netmove.Request) {
		r.Sysctls = map[string]string{}
		for _, s := range sysctls {
			r.Sysctls[s] = "1"
		}
	}
}

// announce announces the device of a plan until the test ends.
func (n *node) announce(t *testing.T, plan netmove.Plan) (ended <-chan error) {
	t.Helper()
	done, finished := make(chan error, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(finished)
		done <- n.mover.Announce(ctx, n.podNS, &plan[0])
	}()
	t.Cleanup(func() {
		cancel()
		<-finished
	})
	return done
}

// ofThePod leaves out what the kernel advertises by itself of link-local addresses.
func ofThePod(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "fe80:") })
}

func sameLines(t *testing.T, want, got []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the neighbor has heard (-want +got):\n%s", diff)
	}
}

// The neighbor hears of each address three times, from the moment that there is a carrier.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	for name, newPod := range map[string]func(testing.TB) *nstest.NS{"pod": nstest.New, "pod of a user namespace": nstest.NewUserNS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNodeWith(t, newPod(t))
			far := n.veth(t, "eth1")
			far.IP(t, "link set eth1p down")
			l := far.Listen(t, "eth1p")
			plan := n.attach(t, told())
			ended := n.announce(t, plan)
			n.pod.IP(t, "link set net1 txqueuelen 500") // a change that matters to nobody
			far.IP(t, "link set eth1p up")
			if err := <-ended; err != nil {
				t.Error(err)
			}
			sameLines(t, []string{told4, told6, told4, told6, told4, told6}, l.Until(t, n.pod, "net1"))
			n.giveBack(t, plan)
		})
	}
}

// Who is told of what, with a carrier from the beginning. The kernel itself tells by arp_notify
// once more, and by ndisc_notify nobody of addresses that skip duplicate address detection.
func TestAnnounceAsAsked(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request netmove.Request
		want    []string
	}{
		"silent":       {told(silent), nil},
		"arp_notify":   {told(silent, withSysctls("ipv4/arp_notify")), []string{told4, told4}},
		"ndisc_notify": {told(silent, withSysctls("ipv6/ndisc_notify")), []string{told6}},
		"router": {
			told(silent, withSysctls("ipv6/ndisc_notify", "ipv6/forwarding")), []string{told6 + ", a router"},
		},
		"addresses of the host": {told(func(r *netmove.Request) { r.Addresses = nil }), nil},
		"addresses of the host, told": {
			told(func(r *netmove.Request) { r.Addresses, r.Announce = nil, new(true) }), slices.Repeat([]string{"192.0.2.8 is at 02:00:00:00:00:05"}, 3),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			far := n.veth(t, "eth1")
			n.host.Shell(t, "ip addr add 192.0.2.8/24 dev eth1; ip link set eth1 up")
			l := far.Listen(t, "eth1p")
			plan := n.attach(t, tc.request)
			if err := <-n.announce(t, plan); err != nil {
				t.Error(err)
			}
			sameLines(t, tc.want, ofThePod(l.Until(t, n.pod, "net1")))
		})
	}
}

// What the kernel says by arp_notify when the device goes up is not heard without a carrier.
func TestNotifyWithTheCarrier(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	far.IP(t, "link set eth1p down")
	l := far.Listen(t, "eth1p")
	plan := n.attach(t, told(silent, withSysctls("ipv4/arp_notify", "ipv6/ndisc_notify")))
	ended := n.announce(t, plan)
	far.IP(t, "link set eth1p up")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	sameLines(t, []string{told4, told6}, ofThePod(l.Until(t, n.pod, "net1")))
}

// A pod without IPv6 has what it asks for of IPv4.
func TestAnnounceWithoutIPv6(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	n.pod.Shell(t, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
	l := far.Listen(t, "eth1p")
	plan := n.attach(t, told(func(r *netmove.Request) { r.Addresses = r.Addresses[:1] }))
	if err := <-n.announce(t, plan); err != nil {
		t.Error(err)
	}
	sameLines(t, []string{told4, told4, told4}, l.Until(t, n.pod, "net1"))
}

// An address that the kernel still looks for on the link is not announced before it is ours.
func TestAnnounceTentative(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	far.IP(t, "link set eth1p down")
	l := far.Listen(t, "eth1p")
	plan := n.attach(t, told())
	n.pod.Shell(t, "ip addr del 2001:db8::5/64 dev net1; ip addr add 2001:db8::5/64 dev net1")
	ended := n.announce(t, plan)
	far.IP(t, "link set eth1p up")
	var lines []string
	for !slices.Contains(lines, told6) {
		lines = append(lines, l.Next(t))
	}
	if got := n.pod.IP(t, "-6 addr show dev net1 scope global tentative"); got != "" {
		t.Errorf("it is announced, and tentative:\n%s", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	lines = append(lines, l.Until(t, n.pod, "net1")...)
	sameLines(t, []string{told4, told4, told4, told6, told6, told6}, slices.Sorted(slices.Values(lines)))
}

// What a pod does to the device while nothing is announced yet is its own matter.
func TestAnnounceBesideThePod(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script, device string
		want           []string
	}{
		"renamed":            {"ip link set net1 name x", "x", []string{told4, told6, told4, told6, told4, told6}},
		"another in place":   {"ip link set net1 name x; ip link add net1 type veth peer name net2", "x", []string{told4, told6, told4, told6, told4, told6}},
		"without an address": {"ip addr del 192.0.2.5/24 dev net1", "net1", []string{told6, told6, told6}},
		"without IPv6":       {"sysctl -qw net.ipv6.conf.net1.disable_ipv6=1", "net1", []string{told4, told4, told4}},
		"too small for IPv6": {"ip link set net1 mtu 1000", "net1", []string{told4, told4, told4}},
		"without addresses":  {"ip addr flush dev net1", "", nil},
		"deleted":            {"ip link del net1", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			far := n.veth(t, "eth1")
			far.IP(t, "link set eth1p down")
			l := far.Listen(t, "eth1p")
			ended := n.announce(t, n.attach(t, told()))
			n.pod.Shell(t, tc.script)
			if tc.device != "" {
				far.IP(t, "link set eth1p up")
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if tc.device != "" {
				sameLines(t, tc.want, l.Until(t, n.pod, tc.device))
			}
		})
	}
}

// Devices without neighbors of that kind are told from those that cannot be served.
func TestAnnounceOnOtherLinks(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.pod.Shell(t, `ip tuntap add tun0 mode tun; ip link set tun0 up
		ip tuntap add tap0 mode tap; ip link add eth1 type veth peer name eth2; ip link set eth1 arp off up`)
	tap := queue(t, n.pod, "tap0", 0)
	if err := unix.IoctlSetInt(int(tap.Fd()), unix.TUNSETLINK, unix.ARPHRD_INFINIBAND); err != nil {
		t.Fatal(err)
	}
	n.pod.IP(t, "link set tap0 up")
	addrs := []netip.Addr{addr("192.0.2.5"), addr("2001:db8::5")}
	for _, device := range []string{"lo", "tun0", "eth1"} {
		if err := n.podNS.Announce(deviceIndex(t, n.pod, device), addrs); !errors.Is(err, netmove.ErrNoNeighbors) {
			t.Errorf("%s: error %v, want %v", device, err, netmove.ErrNoNeighbors)
		}
	}
	want := `device "tap0": addresses are announced on Ethernet alone, and this is of type 32 (ARPHRD)`
	if err := n.podNS.Announce(deviceIndex(t, n.pod, "tap0"), addrs); fmt.Sprint(err) != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := n.podNS.Announce(1000, addrs); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("no device: error %v", err)
	}
}

// A device that keeps what is sent does not keep who sends.
func TestAnnounceOnAFullDevice(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.pod.Shell(t, "ip link add net1 type veth peer name net2; ip link set net1 up; ip link set net2 up")
	tc(t, n.pod, "qdisc add dev net1 root tbf rate 8bit burst 1500 limit 1000000")
	var addrs []netip.Addr
	for a := addr("10.0.0.1"); len(addrs) < 1000; a = a.Next() {
		addrs = append(addrs, a)
	}
	err := n.podNS.Announce(deviceIndex(t, n.pod, "net1"), addrs)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// Whoever waits is told of every change of a device and of an address, and may stop twice.
func TestWhenChanged(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	changes := make(chan struct{}, 1000)
	stop, err := n.podNS.WhenChanged(func() { changes <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, change := range []string{
		"link add eth1 type veth peer name eth2", "addr add 192.0.2.1/24 dev eth1", "link set eth1 up", "link set eth2 up",
		"addr add 2001:db8::1/64 dev eth1", "link set eth1 name x", "link del x",
	} {
		for len(changes) > 0 {
			<-changes
		}
		n.pod.IP(t, change)
		select {
		case <-changes:
		case <-time.After(time.Minute):
			t.Fatalf("nobody is told of %q", change)
		}
	}
	stop()
	stop()
}
