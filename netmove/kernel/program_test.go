package kernel_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	bpflink "github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// attacher puts a program on a device in one of the ways that there are.
type attacher struct {
	name   string
	attach func(t *testing.T, ns *nstest.NS, dev string)
}

func attachers() []attacher {
	return []attacher{
		{"XDP", xdpByNetlink},
		{"XDP link", xdpByLink},
		{"TCX ingress link", func(t *testing.T, ns *nstest.NS, dev string) { tcxByLink(t, ns, dev, ebpf.AttachTCXIngress) }},
		{"TCX egress link", func(t *testing.T, ns *nstest.NS, dev string) { tcxByLink(t, ns, dev, ebpf.AttachTCXEgress) }},
		{"TCX ingress", func(t *testing.T, ns *nstest.NS, dev string) { tcxByProgram(t, ns, dev, ebpf.AttachTCXIngress) }},
		{"TCX egress", func(t *testing.T, ns *nstest.NS, dev string) { tcxByProgram(t, ns, dev, ebpf.AttachTCXEgress) }},
	}
}

// The pod's programs go, whoever still holds them, and the host's stay.
func TestProgramsOfThePod(t *testing.T) {
	t.Parallel()
	for _, pods := range attachers() {
		t.Run(pods.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.host.IP(t, "link set eth1 up")
			tcxByProgram(t, n.host, "eth1", ebpf.AttachTCXIngress)
			tcxByLink(t, n.host, "eth1", ebpf.AttachTCXIngress)
			tcxByLink(t, n.host, "eth1", ebpf.AttachTCXEgress)
			want := n.programs(t, "eth1")
			before := n.host.World(t)
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			pods.attach(t, n.pod, "net1")
			n.giveBack(t, plan)
			if diff := cmp.Diff(want, n.programs(t, "eth1")); diff != "" {
				t.Errorf("programs (-want +got):\n%s", diff)
			}
			sameText(t, "the host after the return", before, n.host.World(t))
		})
	}
}

// Programs of the host's follow the device into the pod and home again.
func TestProgramsOfTheHost(t *testing.T) {
	t.Parallel()
	for _, hosts := range attachers() {
		t.Run(hosts.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			hosts.attach(t, n.host, "eth1")
			want := n.programs(t, "eth1")
			if len(want) != 1 || (want[0].Link != 0) != strings.Contains(hosts.name, "link") {
				t.Fatalf("programs are %v", want)
			}
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			n.giveBack(t, plan)
			if diff := cmp.Diff(want, n.programs(t, "eth1")); diff != "" {
				t.Errorf("programs (-want +got):\n%s", diff)
			}
		})
	}
}

// The holder of the host's link exchanges its program while the pod has the
// device: an agent of the node's that is upgraded.
func TestProgramOfTheHostExchanged(t *testing.T) {
	t.Parallel()
	for _, kind := range []ebpf.ProgramType{ebpf.XDP, ebpf.SchedCLS} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			index := deviceIndex(t, n.host, "eth1")
			var held bpflink.Link
			n.host.Do(t, func() {
				var err error
				if kind == ebpf.XDP {
					held, err = bpflink.AttachXDP(bpflink.XDPOptions{Program: load(t, kind), Interface: index})
				} else {
					held, err = bpflink.AttachTCX(bpflink.TCXOptions{Program: load(t, kind), Interface: index, Attach: ebpf.AttachTCXEgress})
				}
				if err != nil {
					t.Fatal(err)
				}
			})
			t.Cleanup(func() { held.Close() })
			before := n.programs(t, "eth1")
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			if err := held.Update(load(t, kind)); err != nil {
				t.Fatal(err)
			}
			n.giveBack(t, plan)
			after := n.programs(t, "eth1")
			if len(after) != 1 || after[0].Link != before[0].Link || after[0].ID == before[0].ID {
				t.Errorf("programs are %v, were %v", after, before)
			}
		})
	}
}

// A link on a device of the same ifindex in another namespace is another link.
func TestLinkOfASameIndex(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.IP(t, "link add index 77 name eth1 type ifb")
	other := nstest.New(t)
	other.IP(t, "link add index 77 name eth1 type ifb")
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	mine, others := load(t, ebpf.XDP), load(t, ebpf.XDP)
	attach := func(ns *nstest.NS, program *ebpf.Program) {
		ns.Do(t, func() {
			l, err := bpflink.AttachXDP(bpflink.XDPOptions{Program: program, Interface: 77, Flags: bpflink.XDPGenericMode})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		})
	}
	attach(other, others)
	attach(n.pod, mine)
	n.giveBack(t, plan)
	if left := n.programs(t, "eth1"); len(left) > 0 {
		t.Errorf("programs are left: %v", left)
	}
	if kept, err := open(t, other).Programs(withIndex(77)); err != nil || len(kept) != 1 || kept[0].Link == 0 {
		t.Errorf("the other device has %v, %v", kept, err)
	}
}

// withIndex means the device with that ifindex.
func withIndex(index int) netmove.Snapshot {
	return netmove.Snapshot{Identity: netmove.Identity{Index: index}}
}

func (n *node) programs(t *testing.T, dev string) []netmove.Program {
	t.Helper()
	list, err := n.hostNS.Programs(withIndex(deviceIndex(t, n.host, dev)))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := netmove.Read(n.hostNS, dev)
	if err != nil || !slices.Equal(snapshot.Programs, list) {
		t.Errorf("the snapshot has %v, want %v (%v)", snapshot.Programs, list, err)
	}
	return list
}

func deviceIndex(t *testing.T, ns *nstest.NS, dev string) (index int) {
	t.Helper()
	ns.Do(t, func() {
		l, err := netlink.LinkByName(dev)
		if err != nil {
			t.Fatal(err)
		}
		index = l.Attrs().Index
	})
	return index
}

// load loads a program that lets everything pass.
func load(t *testing.T, kind ebpf.ProgramType) *ebpf.Program {
	t.Helper()
	verdict := int32(2) // XDP_PASS
	if kind == ebpf.SchedCLS {
		verdict = -1 // TCX_NEXT
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: kind, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
	if err != nil {
		nstest.Unavailable(t, "bpf", "load a program: "+err.Error())
	}
	t.Cleanup(func() { program.Close() })
	return program
}

func xdpByNetlink(t *testing.T, ns *nstest.NS, dev string) {
	t.Helper()
	program := load(t, ebpf.XDP)
	ns.Do(t, func() {
		l, err := netlink.LinkByName(dev)
		if err == nil {
			err = netlink.LinkSetXdpFdWithFlags(l, program.FD(), unix.XDP_FLAGS_SKB_MODE)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// xdpByLink attaches through a link that stays open until the test ends.
func xdpByLink(t *testing.T, ns *nstest.NS, dev string) {
	t.Helper()
	program, index := load(t, ebpf.XDP), deviceIndex(t, ns, dev)
	ns.Do(t, func() {
		l, err := bpflink.AttachXDP(bpflink.XDPOptions{Program: program, Interface: index})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	})
}

func tcxByLink(t *testing.T, ns *nstest.NS, dev string, hook ebpf.AttachType) {
	t.Helper()
	program, index := load(t, ebpf.SchedCLS), deviceIndex(t, ns, dev)
	ns.Do(t, func() {
		l, err := bpflink.AttachTCX(bpflink.TCXOptions{Program: program, Interface: index, Attach: hook})
		if errors.Is(err, ebpf.ErrNotSupported) {
			nstest.Unavailable(t, "bpf", err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	})
}

func tcxByProgram(t *testing.T, ns *nstest.NS, dev string, hook ebpf.AttachType) {
	t.Helper()
	program, index := load(t, ebpf.SchedCLS), deviceIndex(t, ns, dev)
	ns.Do(t, func() {
		err := bpflink.RawAttachProgram(bpflink.RawAttachProgramOptions{Program: program, Target: index, Attach: hook})
		if err != nil {
			t.Fatal(err)
		}
	})
}
