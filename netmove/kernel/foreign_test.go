package kernel_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// Devices on it are found in other namespaces, whether the host knows these or not.
func TestForeignUppers(t *testing.T) {
	t.Parallel()
	const unknown = `a device of kind "macvlan" is built on it in a namespace that this one does not know`
	for what, tc := range map[string]struct{ script, loss string }{
		"none":                    {"", ""},
		"macvlan":                 {"ip link add mac1 link eth1 type macvlan mode bridge; ip link set mac1 netns $1", `mac1, of kind "macvlan", is built on it in another namespace`},
		"vxlan":                   {"ip link add vx1 type vxlan id 5 dev eth1 dstport 4789; ip link set vx1 netns $1", `vx1, of kind "vxlan", is built on it in another namespace`},
		"macvlan made there":      {"ip link add mac1 link eth1 netns $1 type macvlan mode bridge; ip -n $1 link set mac1 up", unknown},
		"macvtap made there":      {"ip link add mac1 link eth1 netns $1 type macvtap mode vepa; ip -n $1 link set mac1 up", unknown},
		"a passthru one":          {"ip link add mac1 link eth1 netns $1 type macvlan mode passthru; ip -n $1 link set mac1 up", unknown},
		"an address of its own":   {"bridge fdb add 02:00:00:00:00:55 dev eth1; ip link set eth1 promisc on", ""},
		"on another device":       {"ip link add mac1 link eth2 netns $1 type macvlan mode bridge", ""},
		"vxlan on none":           {"ip link add vx1 index 5 type vxlan id 5 dstport 4789; ip link set vx1 netns $1; ip link del eth1; ip link add eth1 index 5 type veth peer name p1", ""},
		"vxlan on another device": {"ip link add vx1 type vxlan id 5 dev eth2 dstport 4789; ip link set vx1 netns $1", ""},
		"end of a pair":           {"ip link add v1 type veth peer name v2 netns $1", ""},
		"another one on the host": {"ip link add mac1 link eth1 type macvlan mode bridge", ""},
		"a port":                  {"ip link add br0 type bridge; ip link set eth1 master br0", ""},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.veth(t, "eth2")
			other := nstest.New(t)
			n.host.IP(t, "link set eth1 up")
			if out, err := n.host.Command("sh", "-ec", strings.ReplaceAll(tc.script, "ip -n $1", "nsenter --net=$1 ip"), "sh", other.Path()).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := n.lossesOf(t, "eth1")[netmove.LossUppers]; got != tc.loss {
				t.Errorf("loss is %q, want %q", got, tc.loss)
			}
		})
	}
}

// The look for them is heard by nobody, and changes nothing.
func TestProbeIsSilent(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, "ip link set eth1 up; bridge fdb add 02:00:00:00:00:55 dev eth1") // or there is no need for one
	before := n.host.Settled(t, "eth1")
	var listener int
	n.host.Do(t, func() {
		var err error
		listener, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err == nil {
			err = unix.Bind(listener, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	defer unix.Close(listener)
	for range 10 {
		if _, err := netmove.Read(n.hostNS, "eth1"); err != nil {
			t.Fatal(err)
		}
	}
	// The kernel tells its listeners before it answers.
	if size, _, err := unix.Recvfrom(listener, make([]byte, 4096), 0); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a listener hears %d bytes, %v", size, err)
	}
	sameText(t, "eth1", before, n.host.Dump(t, "eth1"))
}
