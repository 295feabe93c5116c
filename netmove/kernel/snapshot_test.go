package kernel_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// What the device does for the node decides whether it may move.
func TestRole(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		setup []string
		want  netmove.Role
	}{
		{"nothing", nil, netmove.Role{}},
		{"other routes", []string{"route add 10.0.0.0/8 dev eth1", "-6 route add 2001:db8:9::/48 dev eth1"}, netmove.Role{}},
		{"bridge port", []string{"link add br0 type bridge", "link set eth1 master br0"}, netmove.Role{PortOf: "br0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			host := nstest.New(t)
			// Both ends in one namespace, so that no peer is foreign.
			for _, cmd := range append([]string{"link add eth1 type veth peer name p1", "link add eth2 type veth peer name p2", "link set eth1 up", "link set eth2 up", "link set p1 up", "link set p2 up"}, tc.setup...) {
				host.IP(t, cmd)
			}
			s, err := netmove.Read(open(t, host), "eth1")
			if err != nil {
				t.Fatal(err)
			}
			if s.Role != tc.want {
				t.Errorf("role is %+v, want %+v", s.Role, tc.want)
			}
		})
	}
}

func TestRoleOfKinds(t *testing.T) {
	t.Parallel()
	host, other := nstest.New(t), nstest.New(t)
	host.Veth(t, "cable", other, "eth0")
	host.IP(t, "link add br0 type bridge")
	host.IP(t, "link add mac1 link cable type macvlan")
	host.IP(t, "link add ifb7 type ifb")
	ns := open(t, host)
	for name, want := range map[string]netmove.Role{
		"lo":    {Loopback: true, Immovable: true},
		"br0":   {Immovable: true},
		"cable": {ForeignPeer: true},
		"mac1":  {},
		"ifb7":  {},
	} {
		s, err := netmove.Read(ns, name)
		if err != nil || s.Role != want {
			t.Errorf("%s: role is %+v, %v, want %+v", name, s.Role, err, want)
		}
	}
}

// Queueing disciplines that somebody set do not survive a move.
func TestLoss(t *testing.T) {
	t.Parallel()
	for cmd, want := range map[string][]netmove.Loss{
		"": nil,
		"qdisc add dev eth1 root tbf rate 1mbit burst 10k latency 50ms": {{Kind: netmove.LossQdisc, Text: "tbf"}},
		"qdisc add dev eth1 root pfifo":                                 nil,
		"qdisc add dev eth1 root handle 5: htb":                         {{Kind: netmove.LossQdisc, Text: "htb"}},
		"qdisc add dev eth1 clsact":                                     {{Kind: netmove.LossQdisc, Text: "clsact"}},
		"qdisc add dev eth1 ingress":                                    {{Kind: netmove.LossQdisc, Text: "ingress"}},
		"qdisc add dev eth2 ingress":                                    nil,
	} {
		t.Run(cmd, func(t *testing.T) {
			t.Parallel()
			host := nstest.New(t)
			for _, name := range []string{"eth1", "eth2"} {
				host.Veth(t, name, nstest.New(t), "p")
				host.IP(t, "link set "+name+" up")
			}
			if cmd != "" {
				tc(t, host, cmd)
			}
			s, err := netmove.Read(open(t, host), "eth1")
			if err != nil || !slices.Equal(s.Loss, want) {
				t.Errorf("loss is %v, %v, want %v", s.Loss, err, want)
			}
		})
	}
}

// Some devices do not outlive a move of the one that they are built on.
func TestLossOfUppers(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.IP(t, "link set eth1 up")
	n.host.IP(t, "link add link eth1 name mac1 type macvlan")
	want := func(loss ...netmove.Loss) {
		t.Helper()
		s, err := netmove.Read(n.hostNS, "eth1")
		if err != nil || !slices.Equal(s.Loss, loss) {
			t.Errorf("loss is %v, %v, want %v", s.Loss, err, loss)
		}
	}
	want()
	n.host.IP(t, "link add vx1 type vxlan id 5 dstport 4789 dev eth1")
	want(netmove.Loss{Kind: netmove.LossUppers, Text: `vx1, of kind "vxlan", is built on it`})
	n.giveBack(t, n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"}))
	if out, err := n.host.TryIP("link show vx1"); err == nil {
		t.Errorf("the kernel has not deleted it: allow it?\n%s", out)
	}
	want()
}

// tc runs tc(8), unless this kernel lacks the discipline.
func tc(t *testing.T, ns *nstest.NS, args string) {
	t.Helper()
	out, err := ns.Command("sh", "-c", "tc "+args).CombinedOutput()
	if err != nil {
		nstest.Unavailable(t, "tc", "tc "+args+": "+string(out))
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	if _, err := (kernel.Linux{}).Open(t.TempDir() + "/nowhere"); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	for _, path := range []string{"/proc/self/ns/uts", "/etc/hosts", "/proc"} {
		if _, err := (kernel.Linux{}).Open(path); !errors.Is(err, netmove.ErrNotNamespace) {
			t.Errorf("%s: error is %v", path, err)
		}
	}
	a, b := nstest.New(t), nstest.New(t)
	first, again, second := open(t, a), open(t, a), open(t, b)
	if first.Cookie() != again.Cookie() || first.Cookie() == second.Cookie() || first.Cookie() == 0 {
		t.Errorf("cookies: %d, %d, %d", first.Cookie(), again.Cookie(), second.Cookie())
	}
}

// The identity stays what it was through moves and renames, and no other
// device ever has it.
func TestIdentity(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	first, err := netmove.Read(n.hostNS, "eth1")
	if err != nil {
		t.Fatal(err)
	}
	n.host.IP(t, "link", "set", "eth1", "netns", n.pod.Path(), "name", "x")
	n.pod.IP(t, "link set x name y")
	moved, err := n.podNS.Find(first.Identity, 0)
	if err != nil || moved.Name != "y" {
		t.Errorf("found %+v, %v", moved, err)
	}
	n.pod.IP(t, "link del y")
	n.veth(t, "eth1")
	if _, err := n.hostNS.Find(first.Identity, first.Identity.Index); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("another device is taken for the first: %v", err)
	}
	if _, err := n.podNS.Find(first.Identity, 0); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("a deleted device is found: %v", err)
	}
}
