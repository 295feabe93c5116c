package kernel_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// An entry of every table can be removed, and no other with it, and be made again.
func TestEntries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		device, entries string
		count           int
	}{
		"of a NIC": {"", `
			ip route add 198.51.100.0/24 via 192.0.2.254 metric 50 mtu 1400
			ip route add 198.51.100.0/24 via 192.0.2.254 metric 60
			ip route add 198.51.100.0/24 via 192.0.2.254 table 100
			ip route add 10.4.0.0/16 nexthop via 192.0.2.254 weight 3 nexthop via 192.0.2.253
			ip route add 10.6.0.0/16 via inet6 2001:db8::fe dev eth1
			ip route add 2001:db8:12::/48 nexthop via 2001:db8::fe nexthop via 2001:db8::fd
			ip route add 2001:db8:11::/48 via fe80::1 dev eth1 metric 7
			ip nexthop add id 10 via 192.0.2.254 dev eth1
			ip nexthop add id 21 group 10
			ip route add 10.7.0.0/16 nhid 10
			ip route add 10.9.0.0/16 nhid 21
			ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth1
			ip neigh add 2001:db8::9 lladdr 02:00:00:00:00:09 dev eth1 router
			ip neigh add proxy 192.0.2.10 dev eth1
			ip neigh add proxy 2001:db8::10 dev eth1
			bridge fdb add 02:00:00:00:00:77 dev eth1`, 16},
		"of a bridge's port": {`
			ip link add br0 type bridge mcast_snooping 1
			ip link set br0 up
			ip link set eth1 master br0
			bridge vlan del vid 1 dev eth1 2>&- || true # where a bridge has VLANs`, `
			bridge fdb add 02:00:00:00:00:aa dev eth1 master static
			bridge fdb add 02:00:00:00:00:bb dev eth1 master static sticky
			bridge mdb add dev br0 port eth1 grp 239.1.1.1 permanent
			bridge mdb add dev br0 port eth1 grp 239.1.1.1 src 192.0.2.9 permanent`, 4},
		"with VLANs": {`
			ip link add br0 type bridge vlan_filtering 1
			ip link set eth1 master br0
			bridge vlan del vid 1 dev eth1`, `
			bridge vlan add vid 10 pvid untagged dev eth1
			bridge vlan add vid 20-25 dev eth1
			bridge fdb add 02:00:00:00:00:aa dev eth1 master static vlan 10`, 3},
		"a qdisc": {"", "tc qdisc add dev eth1 root handle 5: fq limit 500", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.host.Shell(t, `
				ip link set eth1 up
				ip addr add 192.0.2.1/24 dev eth1
				ip addr add 2001:db8::1/64 dev eth1`)
			if out, err := n.host.Command("sh", "-ec", tt.device).CombinedOutput(); err != nil {
				nstest.Unavailable(t, "kinds", name+": "+string(out))
			}
			bare := n.host.Settled(t, "eth1")
			if out, err := n.host.Command("sh", "-ec", tt.entries).CombinedOutput(); err != nil {
				nstest.Unavailable(t, "kinds", name+": "+string(out))
			}
			full := n.host.Settled(t, "eth1")
			list := n.entriesOf(t, "eth1")
			if len(list) != tt.count {
				t.Fatalf("%d entries, want %d: %+v", len(list), tt.count, list)
			}
			n.dropsAndPuts(t, "eth1", list, bare, full)
		})
	}
}

func (n *node) entriesOf(t *testing.T, dev string) []netmove.Entry {
	t.Helper()
	s, err := netmove.Read(n.hostNS, dev)
	if err != nil {
		t.Fatal(err)
	}
	return s.Entries
}

// dropsAndPuts removes all entries, one by one and the last first, and makes them again.
func (n *node) dropsAndPuts(t *testing.T, dev string, list []netmove.Entry, bare, full string) {
	t.Helper()
	s, err := netmove.Read(n.hostNS, dev)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range slices.Backward(list) {
		if err := n.hostNS.DropEntry(s.Identity.Index, e); err != nil {
			t.Errorf("drop %s %s: %v", e.Table, e.Text, err)
		}
		if left := n.entriesOf(t, dev); len(left) != i {
			t.Errorf("without %s %s: %d entries are left, want %d", e.Table, e.Text, len(left), i)
		}
		err := n.hostNS.DropEntry(s.Identity.Index, e)
		if told := !slices.Contains([]netmove.Table{netmove.TableVLAN, netmove.TableMDB, netmove.TableQdisc}, e.Table); told && !errors.Is(err, netmove.ErrNotFound) {
			t.Errorf("drop %s %s again: error is %v, want %v", e.Table, e.Text, err, netmove.ErrNotFound)
		}
	}
	n.host.SameDump(t, dev, bare)
	for _, e := range list {
		if err := n.hostNS.PutEntry(s.Identity.Index, e); err != nil {
			t.Errorf("put %s %s: %v", e.Table, e.Text, err)
		}
	}
	n.host.SameDump(t, dev, full)
}
