package kernel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// node is a host and a pod, two real namespaces, and the engine between them.
type node struct {
	host, pod     *nstest.NS
	hostNS, podNS *kernel.Namespace
	mover         *netmove.Mover
}

func newNode(t *testing.T) *node { return newNodeWith(t, nstest.New(t)) }

func newNodeWith(t *testing.T, pod *nstest.NS) *node {
	t.Helper()
	n := &node{host: nstest.New(t), pod: pod}
	n.hostNS, n.podNS = open(t, n.host), open(t, n.pod)
	n.mover = &netmove.Mover{Now: kernel.Linux{}.Now, Host: n.hostNS, Log: slog.New(slog.DiscardHandler)}
	n.host.IP(t, "link set lo up")
	n.pod.IP(t, "link set lo up")
	return n
}

func open(t *testing.T, ns *nstest.NS) *kernel.Namespace {
	t.Helper()
	k, err := kernel.Linux{}.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// veth makes a device of the host whose other end, NAMEp, is up and elsewhere.
func (n *node) veth(t *testing.T, name string) *nstest.NS {
	t.Helper()
	far := nstest.New(t)
	n.host.Veth(t, name, far, name+"p")
	far.IP(t, "link set "+name+"p up")
	return far
}

func (n *node) plan(requests ...netmove.Request) (netmove.Plan, error) {
	devices := make([]netmove.Device, len(requests))
	for i, r := range requests {
		var err error
		if devices[i], err = netmove.Read(n.hostNS, r.Device); err != nil {
			return nil, err
		}
		if devices[i].Features, err = n.mover.Host.Features(devices[i].Identity.Index); err != nil {
			return nil, err
		}
	}
	plan, err := netmove.NewPlan(requests, devices)
	if err != nil {
		return nil, err
	}
	return plan, n.mover.Prepare(n.podNS, plan)
}

func (n *node) attach(t *testing.T, requests ...netmove.Request) netmove.Plan {
	t.Helper()
	plan, err := n.plan(requests...)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.mover.Attach(t.Context(), n.podNS, plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

func (n *node) giveBack(t *testing.T, plan netmove.Plan) {
	t.Helper()
	for _, i := range netmove.Homeward(plan) {
		if err := n.mover.Return(n.podNS, &plan[i]); err != nil {
			t.Errorf("return %q: %v", plan[i].Before.Name, err)
		}
	}
}

func sameText(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// everyAddress puts addresses with every attribute on an up device.
func everyAddress(t *testing.T, ns *nstest.NS, dev string) {
	t.Helper()
	ns.IP(t, "link set "+dev+" up")
	for _, a := range []string{
		"192.0.2.1/24 brd 192.0.2.255 label " + dev + ":x metric 77",
		"192.0.2.2/24", // no broadcast; secondary of the one before
		"192.0.2.129 peer 198.51.100.1/32",
		"203.0.113.1/24 noprefixroute",
		"203.0.113.9/24 valid_lft 1000 preferred_lft 500", // timed
		"169.254.1.1/16 scope link",
		"2001:db8::1/64 metric 5",
		"2001:db8::2/64",
		"2001:db8:1::1 peer 2001:db8:1::2/128",
		"2001:db8:2::1/64 noprefixroute home",
		"2001:db8:3::1/64 nodad",
		"2001:db8:4::1/64 valid_lft 1000 preferred_lft 500",
	} {
		ns.IP(t, "addr add "+a+" dev "+dev)
	}
}

// waitDAD waits until no address is tentative any more: a host has long had
// its addresses when a pod comes.
func waitDAD(t *testing.T, ns *nstest.NS) {
	t.Helper()
	for strings.Contains(ns.IP(t, "-6 addr show tentative"), "inet6") {
		select {
		case <-t.Context().Done():
			t.Fatal("addresses stay tentative")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The job: an up device with addresses of both families, which keeps all that
// may come along and has the rest back in the end.
func TestAttachKeepsAddresses(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	everyAddress(t, n.host, "eth1")
	n.host.IP(t, "link property add dev eth1 altname enp2s0f0np0-with-a-long-name")
	n.host.IP(t, "link", "set", "eth1", "alias", "rack 3, port 7")
	waitDAD(t, n.host)
	before := n.host.World(t)

	plan := n.attach(t, netmove.Request{Device: "enp2s0f0np0-with-a-long-name", PodName: "net1"})

	if left := n.host.Link(t, "eth1"); left != "" {
		t.Errorf("the host still has it:\n%s", left)
	}
	// What the pod has is what the host had, less the timed and the
	// link-scope addresses, under the other name.
	var want []string
	for line := range strings.Lines(strings.Join(addressLines(before, "eth1"), "")) {
		if strings.Contains(line, "timed") || strings.Contains(line, "169.254.1.1") {
			continue
		}
		want = append(want, strings.ReplaceAll(line, "eth1", "net1"))
	}
	if len(want) != 9 {
		t.Fatalf("the host had %d addresses that may come along, want 9:\n%s", len(want), before)
	}
	sameText(t, "addresses in the pod, at once", strings.Join(want, ""), strings.Join(addressLines(n.pod.World(t), "net1"), ""))
	if got := n.pod.IP(t, "-6 addr show dev net1 scope global tentative"); got != "" {
		t.Errorf("IPv6 addresses must wait for duplicate address detection:\n%s", got)
	}
	if link := n.pod.IP(t, "link show dev net1 up"); !strings.Contains(link, "LOWER_UP") {
		t.Errorf("the device is not up in the pod: %q", link)
	}
	n.giveBack(t, plan)
	waitDAD(t, n.host)
	sameText(t, "the host after the return", before, n.host.World(t))
}

// addressLines are the lines of a world that are about a device's addresses.
func addressLines(world, dev string) []string {
	var lines []string
	in := false
	for line := range strings.Lines(world) {
		if !strings.HasPrefix(line, " ") {
			in = strings.Contains(line, " "+dev+" ")
			continue
		}
		if in {
			lines = append(lines, line)
		}
	}
	return lines
}

// What is on the wire: the pod's addresses answer at once, in both families.
func TestTraffic(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := n.veth(t, "eth1")
	far.IP(t, "addr add 192.0.2.9/24 dev eth1p")
	far.IP(t, "addr add 2001:db8::9/64 dev eth1p nodad")
	n.host.IP(t, "addr add 192.0.2.1/24 dev eth1")
	n.host.IP(t, "addr add 2001:db8::1/64 dev eth1")
	n.host.IP(t, "link set eth1 up")
	n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	for _, addr := range []string{"192.0.2.9", "2001:db8::9"} {
		if out, err := n.pod.Command("ping", "-c1", "-W2", addr).CombinedOutput(); err != nil {
			t.Errorf("ping %s from the pod: %v\n%s", addr, err, out)
		}
	}
}

func TestAttachSettings(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	everyAddress(t, n.host, "eth1")
	waitDAD(t, n.host)
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{
		Device: "eth1", PodName: "net1", MTU: 9000, MAC: netmove.MAC{2, 0, 0, 0, 0, 0xaa},
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("2001:db8:ff::1/64")},
	})
	got := n.pod.Link(t, "net1")
	for _, want := range []string{"9000", "02:00:00:00:00:aa", "10.1.2.3/8", "2001:db8:ff::1/64"} {
		if !strings.Contains(got, want) {
			t.Errorf("the pod's device lacks %s:\n%s", want, got)
		}
	}
	if lines := addressLines(n.pod.World(t), "net1"); len(lines) != 2 || strings.Contains(lines[0], "brd 10") {
		t.Errorf("addresses in the pod: %q", lines)
	}
	n.giveBack(t, plan)
	waitDAD(t, n.host)
	sameText(t, "the host after the return", before, n.host.World(t))
}

// A name that the pod has is refused, and the host's device stays up, named
// and addressed as it was: the name, an altname, the device's own altname.
func TestNameTaken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		podHas  string // ip command in the pod, after Prepare
		request netmove.Request
		want    string
	}{
		{"name", "link add net1 type veth peer name x", netmove.Request{Device: "eth1", PodName: "net1"}, `cannot name "eth1" "net1" in the pod: the name is taken`},
		{"name on both sides", "link add eth1 type veth peer name net1", netmove.Request{Device: "eth1", PodName: "net1"}, `cannot name "eth1" "net1" in the pod: the name is taken`},
		{"same name", "link add eth1 type veth peer name x", netmove.Request{Device: "eth1"}, `cannot name "eth1" "eth1" in the pod: the name is taken`},
		{"altname", "link property add dev lo altname net1", netmove.Request{Device: "eth1", PodName: "net1"}, `cannot name "eth1" "net1" in the pod: the name is taken`},
		{"the device's altname", "link add alt1 type veth peer name x", netmove.Request{Device: "eth1", PodName: "net1"}, `cannot name "eth1" "alt1" in the pod: the name is taken`},
		{"own altname", "", netmove.Request{Device: "eth1", PodName: "alt1"}, `cannot name "eth1" "alt1" in the pod: "alt1" is an altname of "eth1"`},
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, late %v", tc.name, late), func(t *testing.T) {
				t.Parallel()
				n := newNode(t)
				n.veth(t, "eth1")
				n.host.IP(t, "link property add dev eth1 altname alt1")
				everyAddress(t, n.host, "eth1")
				waitDAD(t, n.host)
				before := n.host.World(t)
				takeName := func() {
					if tc.podHas != "" {
						n.pod.IP(t, tc.podHas)
					}
				}
				if !late {
					takeName()
				}
				plan, err := n.plan(tc.request)
				if late {
					takeName()
				}
				podBefore := n.pod.World(t)
				if err == nil {
					err = n.mover.Attach(t.Context(), n.podNS, plan)
				}
				if fmt.Sprint(err) != tc.want {
					t.Errorf("error is\n%v\nwant\n%s", err, tc.want)
				}
				sameText(t, "the host", before, n.host.World(t))
				sameText(t, "the pod", podBefore, n.pod.World(t))
			})
		}
	}
}

// Two devices swap their names; one of them has the ifindex of the pod's eth0.
func TestSwapNames(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	far := nstest.New(t)
	n.host.IP(t, "link", "add", "index", "7", "name", "a", "type", "veth", "peer", "name", "ap", "netns", far.Path())
	n.host.Veth(t, "b", far, "bp")
	n.pod.IP(t, "link", "add", "index", "7", "name", "eth0", "type", "veth", "peer", "name", "x", "netns", far.Path())
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "a", PodName: "b"}, netmove.Request{Device: "b", PodName: "a"})
	if plan[0].PodIndex == 7 {
		t.Error("two devices with ifindex 7 in the pod")
	}
	for i, name := range []string{"b", "a"} {
		s, err := netmove.Read(n.podNS, name)
		if err != nil || !s.Identity.Same(plan[i].Before.Identity) {
			t.Errorf("%q in the pod is %+v, %v", name, s.Identity, err)
		}
	}
	if alt := n.pod.IP(t, "link show dev lo"); strings.Contains(alt, "altname") {
		t.Errorf("a guard is left on lo: %s", alt)
	}
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
}

// The second of two devices cannot come: neither does the first.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	everyAddress(t, n.host, "eth1")
	waitDAD(t, n.host)
	before := n.host.World(t)
	plan, err := n.plan(netmove.Request{Device: "eth1"}, netmove.Request{Device: "eth2", MAC: netmove.MAC{1, 0, 0, 0, 0, 1}})
	if err != nil {
		t.Fatal(err)
	}
	err = n.mover.Attach(t.Context(), n.podNS, plan)
	if err == nil || !strings.Contains(err.Error(), `device "eth2": set MAC 01:00:00:00:00:01`) || errors.Is(err, netmove.ErrUndo) {
		t.Errorf("error is %v", err)
	}
	waitDAD(t, n.host)
	sameText(t, "the host", before, n.host.World(t))
}

// A pod with NET_ADMIN changes all it can.
func TestReturnFromHostilePod(t *testing.T) {
	t.Parallel()
	for _, userns := range []bool{false, true} {
		t.Run(fmt.Sprintf("user namespace %v", userns), func(t *testing.T) {
			t.Parallel()
			pod := nstest.New
			if userns {
				pod = nstest.NewUserNS
			}
			n := newNodeWith(t, pod(t))
			n.veth(t, "eth1")
			n.veth(t, "eth2")
			everyAddress(t, n.host, "eth1")
			n.host.IP(t, "link property add dev eth1 altname alt1")
			waitDAD(t, n.host)
			before := n.host.World(t)
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			for _, cmd := range []string{
				"link add " + plan[0].Before.Identity.RecognisableName() + " type veth peer name y",
				"link set net1 down",
				"link set net1 name mine",
				"link set mine address 02:66:66:66:66:66",
				"link set mine mtu 700",
				"link set mine alias eth2",
				"link set mine txqueuelen 3 group 42",
				"link set mine promisc on",
				"link set mine arp off",
				"link set mine multicast off",
				"link property del dev mine altname alt1",
				"link property add dev mine altname eth2", // the host has that name
				"addr flush dev mine",
				"addr add 10.66.66.66/8 dev mine",
			} {
				n.pod.IP(t, cmd)
			}
			n.giveBack(t, plan)
			waitDAD(t, n.host)
			sameText(t, "the host after the return", before, n.host.World(t))
		})
	}
}

// A pod deletes our device and makes another with its name, index and MAC.
func TestImpostor(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.pod.IP(t, "link del net1")
	n.pod.IP(t, fmt.Sprintf("link add index %d name net1 address %s type veth peer index 99 name y", plan[0].PodIndex, plan[0].Before.MAC))
	host, pod := n.host.World(t), n.pod.World(t)
	if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrLost) {
		t.Errorf("error is %v, want ErrLost", err)
	}
	sameText(t, "the host", host, n.host.World(t))
	sameText(t, "the pod", pod, n.pod.World(t))
}

// The host took name, altname and index while the device was away.
func TestReturnNamesTaken(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	everyAddress(t, n.host, "eth1")
	n.host.IP(t, "link property add dev eth1 altname alt1")
	waitDAD(t, n.host)
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	id := plan[0].Before.Identity
	n.host.IP(t, fmt.Sprintf("link add index %d name eth1 type veth peer index 99 name alt1", id.Index))
	if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrMisnamed) {
		t.Errorf("error is %v, want ErrMisnamed", err)
	}
	if home := n.host.Link(t, id.RecognisableName()); !strings.Contains(home, "2001:db8::1/64") {
		t.Errorf("at home it is\n%s", home)
	}
	n.host.IP(t, "link del eth1")
	n.giveBack(t, plan)
	now, err := netmove.Read(n.hostNS, "eth1")
	if err != nil {
		t.Fatal(err)
	}
	waitDAD(t, n.host)
	// The index is another one; all else is as before.
	withIndex := func(index int, world string) string {
		return strings.ReplaceAll(strings.ReplaceAll(world, fmt.Sprintf("%d: ", index), "N: "), fmt.Sprintf(" %d ", index), " N ")
	}
	sameText(t, "the host", withIndex(id.Index, before), withIndex(now.Identity.Index, n.host.World(t)))
}

// What takes the host name is the device itself, which came home without our
// doing and has it as an altname, of the pod's or of udev's.
func TestReturnOwnAltname(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	everyAddress(t, n.host, "eth1")
	waitDAD(t, n.host)
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.pod.Shell(t, "ip link set net1 name theirs1; ip link property add dev theirs1 altname eth1 altname theirs2")
	if err := n.podNS.Move(plan[0].PodIndex, n.hostNS, "theirs1", 0); err != nil {
		t.Fatal(err)
	}
	if err := n.mover.Return(nil, &plan[0]); err != nil {
		t.Error(err)
	}
	waitDAD(t, n.host)
	sameText(t, "the host", before, n.host.World(t))
}

// The context is at its end: nothing moves.
func TestOutOfTime(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	everyAddress(t, n.host, "eth1")
	waitDAD(t, n.host)
	before := n.host.World(t)
	plan, err := n.plan(netmove.Request{Device: "eth1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.mover.Attach(ctx, n.podNS, plan); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	sameText(t, "the host", before, n.host.World(t))
}

// A port of a bridge comes back as its port.
func TestBridgePort(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link add br0 type bridge")
	n.host.IP(t, "link set eth1 master br0 up")
	before := n.host.World(t)
	plan := n.attach(t, netmove.Request{Device: "eth1"})
	n.giveBack(t, plan)
	sameText(t, "the host after the return", before, n.host.World(t))
}
