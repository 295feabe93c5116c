package kernel_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// Multicast groups that somebody has made a bridge's port a member of.
func TestReturnGroups(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	n.host.Shell(t, `
		set -e
		ip link add br0 type bridge mcast_snooping 1 mcast_igmp_version 3 mcast_mld_version 2
		ip link set br0 up
		ip link set eth2 master br0 up
		ip link set eth1 master br0 up
		bridge mdb add dev br0 port eth2 grp 239.1.1.9 permanent
		bridge mdb add dev br0 port eth1 grp 239.1.1.1 permanent
		bridge mdb add dev br0 port eth1 grp 239.1.1.2 src 192.0.2.9 permanent
		bridge mdb add dev br0 port eth1 grp ff0e::1 permanent
		bridge mdb add dev br0 port eth1 grp 01:02:03:04:05:06 permanent`)
	before := n.host.Settled(t, "eth1")
	if count := strings.Count(before, " grp "); count < 4 {
		t.Fatalf("%d groups in the dump", count)
	}
	n.giveBack(t, n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"}))
	n.host.SameDump(t, "eth1", before)
}

// Such a group may have a list of sources. Those that a daemon has made, or that time out, are
// left alone.
func TestReturnGroupsOfSources(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.host.Shell(t, `
		set -e
		ip link add br0 type bridge mcast_snooping 1 mcast_igmp_version 3
		ip link set br0 up
		ip link set eth1 master br0 up`)
	addGroup(t, n.host, group{owner: "br0", port: "eth1", grp: "239.1.1.3", sources: []string{"192.0.2.8", "192.0.2.7"}, mode: 1, proto: 77})
	daemons := group{owner: "br0", port: "eth1", grp: "239.1.1.4", proto: unix.RTPROT_ZEBRA}
	addGroup(t, n.host, daemons)
	n.host.Shell(t, "until bridge mdb add dev br0 port eth1 grp 239.1.1.5 temp 2>/dev/null; do sleep 0.1; done") // once it has a carrier
	for _, e := range n.entriesOf(t, "eth1") {
		if strings.Contains(e.Text, daemons.grp) || strings.Contains(e.Text, "239.1.1.5") {
			t.Errorf("%s is a daemon's, which makes it again, or of an hour", e.Text)
		}
	}
	daemons.gone = true
	addGroup(t, n.host, daemons)
	before := n.host.Settled(t, "eth1")
	n.giveBack(t, n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"}))
	n.host.SameDump(t, "eth1", before)
}

// Multicast groups travel with a vxlan.
func TestReturnVXLANGroups(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.Shell(t, `
		ip link add vx0 type vxlan external dstport 4789
		ip link set vx0 up`)
	host := []group{
		{grp: "0.0.0.0", dst: "10.0.0.2"},
		{grp: "239.1.1.1", dst: "10.0.0.2"},
		{grp: "239.1.1.1", dst: "10.0.0.3", vni: 7, source: "192.0.2.5"},
		{grp: "239.1.1.2", dst: "10.0.0.2", via: 1, sources: []string{"192.0.2.8", "192.0.2.7"}, proto: 186},
		{grp: "ff0e::1", dst: "10.0.0.2", sources: []string{"2001:db8::1"}, mode: 1, sourceVNI: 9},
	}
	pod := []group{
		{grp: "0.0.0.0", dst: "10.66.66.66"},
		{grp: "239.1.1.1", dst: "10.66.66.66", sources: []string{"192.0.2.66"}},
		{grp: "239.66.66.66", dst: "10.0.0.2", via: 1},
		{grp: "ff0e::66", dst: "10.0.0.2", sourceVNI: 9},
	}
	for _, g := range host {
		g.owner, g.port = "vx0", "vx0"
		addGroup(t, n.host, g)
	}
	before := groupsOf(t, n.host, "vx0")
	plan := n.attach(t, netmove.Request{Device: "vx0", PodName: "net1"})
	for _, g := range pod {
		g.owner, g.port = "net1", "net1"
		addGroup(t, n.pod, g)
	}
	for _, g := range host[1:4] {
		g.owner, g.port, g.gone = "net1", "net1", true
		addGroup(t, n.pod, g)
	}
	n.giveBack(t, plan)
	sameText(t, "the groups", before, groupsOf(t, n.host, "vx0"))
}

// group is a multicast group of a bridge's or a vxlan's, for which bridge(8) here lacks words.
type group struct {
	owner, port, grp, source, dst string
	sources                       []string
	mode, proto                   uint8
	vni, via, sourceVNI           uint32
	gone                          bool
}

// addGroup adds a group, or removes it.
func addGroup(t *testing.T, ns *nstest.NS, g group) {
	t.Helper()
	ns.Do(t, func() {
		entry := make([]byte, 28) // struct br_mdb_entry
		binary.NativeEndian.PutUint32(entry, uint32(ifindex(t, g.port)))
		entry[4] = 1 // MDB_PERMANENT
		addr := netip.MustParseAddr(g.grp)
		copy(entry[8:], addr.AsSlice())
		proto := uint16(unix.ETH_P_IP)
		if addr.Is6() {
			proto = unix.ETH_P_IPV6
		}
		binary.BigEndian.PutUint16(entry[24:], proto)
		attrs := nl.NewRtAttr(2|unix.NLA_F_NESTED, nil) // MDBA_SET_ENTRY_ATTRS, and MDBE_ATTR_* in it
		if g.source != "" {
			attrs.AddRtAttr(1, netip.MustParseAddr(g.source).AsSlice())
		}
		if len(g.sources) > 0 {
			list := attrs.AddRtAttr(2|unix.NLA_F_NESTED, nil)
			for _, s := range g.sources {
				list.AddRtAttr(1|unix.NLA_F_NESTED, nil).AddRtAttr(1, netip.MustParseAddr(s).AsSlice())
			}
			attrs.AddRtAttr(3, []byte{g.mode})
		}
		if g.proto != 0 {
			attrs.AddRtAttr(4, []byte{g.proto})
		}
		if g.dst != "" {
			attrs.AddRtAttr(5, netip.MustParseAddr(g.dst).AsSlice())
		}
		for typ, v := range map[int]uint32{7: g.vni, 8: g.via, 9: g.sourceVNI} {
			if v != 0 {
				attrs.AddRtAttr(typ, nl.Uint32Attr(v))
			}
		}
		verb, flags := unix.RTM_NEWMDB, unix.NLM_F_CREATE|unix.NLM_F_EXCL
		if g.gone {
			verb, flags = unix.RTM_DELMDB, 0
		}
		req := nl.NewNetlinkRequest(verb, unix.NLM_F_ACK|flags)
		msg := make([]byte, 8) // struct br_port_msg
		msg[0] = unix.AF_BRIDGE
		binary.NativeEndian.PutUint32(msg[4:], uint32(ifindex(t, g.owner)))
		set := nl.NewRtAttr(1, entry).Serialize() // MDBA_SET_ENTRY
		req.AddRawData(slices.Concat(msg, set, attrs.Serialize()))
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			nstest.Unavailable(t, "groups", err.Error())
		}
		if err != nil {
			t.Fatalf("group %+v: %v", g, err)
		}
	})
}

func ifindex(t *testing.T, name string) int {
	t.Helper()
	dev, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return dev.Index
}

// groupsOf are the groups as the kernel tells them, in no order.
func groupsOf(t *testing.T, ns *nstest.NS, dev string) string {
	t.Helper()
	var lines []string
	ns.Do(t, func() {
		req := nl.NewNetlinkRequest(unix.RTM_GETMDB, unix.NLM_F_DUMP)
		msg := make([]byte, 8)
		msg[0] = unix.AF_BRIDGE
		req.AddRawData(msg)
		msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWMDB)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			if binary.NativeEndian.Uint32(m[4:]) == uint32(ifindex(t, dev)) {
				for _, group := range attributes(t, attributes(t, m[8:])[0].Value) {
					for _, port := range attributes(t, group.Value) {
						lines = append(lines, hex.EncodeToString(port.Value))
					}
				}
			}
		}
	})
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func attributes(t *testing.T, b []byte) []syscall.NetlinkRouteAttr {
	t.Helper()
	attrs, err := nl.ParseRouteAttr(b)
	if err != nil {
		t.Fatal(err)
	}
	return attrs
}
