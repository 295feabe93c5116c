package kernel_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// Every kind of device returns as it was. Those that this kernel lacks are made
// in a virtual machine, see tests/vm.
func TestKinds(t *testing.T) {
	t.Parallel()
	const low = "link add low type veth peer name far\nlink set far up\nlink set low up\n"
	for kind, script := range map[string]string{
		"veth":      "link add eth1 type veth peer name far\nlink set far up",
		"dummy":     "link add eth1 type dummy",
		"ifb":       "link add eth1 type ifb",
		"macvlan":   low + "link add link low name eth1 type macvlan mode private",
		"macvtap":   low + "link add link low name eth1 type macvtap mode bridge",
		"ipvlan":    low + "link add link low name eth1 type ipvlan mode l3",
		"vlan":      low + "link add link low name eth1 type vlan id 5 ingress-qos-map 1:2",
		"macsec":    low + "link add link low name eth1 type macsec",
		"vxlan":     "link add eth1 type vxlan id 5 dstport 4789 remote 192.0.2.9",
		"geneve":    "link add eth1 type geneve id 5 remote 192.0.2.9",
		"gretap":    "link add eth1 type gretap remote 192.0.2.9 local 192.0.2.8",
		"ipip":      "link add eth1 type ipip remote 192.0.2.9 local 192.0.2.8",
		"sit":       "link add eth1 type sit remote 192.0.2.9 local 192.0.2.8",
		"tap":       "tuntap add eth1 mode tap",
		"tun":       "tuntap add eth1 mode tun",
		"wireguard": "link add eth1 type wireguard",
		"vcan":      "link add eth1 type vcan",
		"vxcan":     "link add eth1 type vxcan peer name far",
		"nlmon":     "link add eth1 type nlmon",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.makeOr(t, kind, script)
			n.host.IP(t, "link set eth1 up")
			n.returnsExactly(t, "eth1")
		})
	}
}

// Keys and peers of WireGuard are the host's again.
func TestReturnWireguard(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.makeOr(t, "wireguard", "link add eth1 type wireguard")
	n.host.Shell(t, `
		set -e
		wg genkey >/tmp/key
		wg set eth1 private-key /tmp/key listen-port 5555 fwmark 7
		for i in 1 2 3; do
			wg genkey | wg pubkey >/tmp/peer$i
			wg genpsk | wg set eth1 peer $(cat /tmp/peer$i) preshared-key /dev/stdin endpoint 192.0.2.$i:5000 persistent-keepalive 25
		done
		for i in $(seq 1 300); do echo 10.$((i / 256)).$((i % 256)).0/24; done | paste -sd, | xargs wg set eth1 peer $(cat /tmp/peer1) allowed-ips
		wg set eth1 peer $(cat /tmp/peer2) allowed-ips 2001:db8::/32,192.0.2.0/24`)
	before := n.host.Settled(t, "eth1")
	if !strings.Contains(before, "10.1.44.0/24") {
		t.Fatal("the host's peers are not in the dump")
	}
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	n.pod.Shell(t, `
		set -e
		wg set net1 peer $(cat /tmp/peer3) remove
		wg set net1 peer $(cat /tmp/peer2) endpoint 192.0.2.66:66 allowed-ips 10.0.0.0/24
		wg genkey | wg set net1 private-key /dev/stdin listen-port 666 fwmark 0
		wg set net1 peer $(wg genkey | wg pubkey) allowed-ips 0.0.0.0/0`)
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
}

// Potential routers travel with a sit tunnel.
func TestReturnPotentialRouters(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.makeOr(t, "sit", "link add eth1 type sit mode ip6ip local 192.0.2.1 isatap")
	n.host.Shell(t, `
		set -e
		ip tunnel prl prl-default 192.0.2.7 dev eth1
		ip tunnel prl prl-nodefault 192.0.2.8 dev eth1
		ip link set eth1 up`)
	n.returnsFrom(t, "eth1", `
		ip tunnel prl prl-delete 192.0.2.7 dev net1
		ip tunnel prl prl-default 192.0.2.66 dev net1`)
}

// The host says who may attach to a tap.
func TestReturnTunOwner(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.host.IP(t, "tuntap add eth1 mode tap user 1000 group 100 vnet_hdr multi_queue")
	before := n.host.Settled(t, "eth1")
	if !strings.Contains(before, "persist on user") {
		t.Fatal("the owner is not in the dump")
	}
	plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
	for name, id := range map[string]uint32{"owner": 1066, "group": 166} {
		o := netmove.Option{Name: "tun." + name, Value: nl.Uint32Attr(id)}
		if err := n.podNS.SetOption(plan[0].Before.Identity.Index, o); err != nil {
			t.Fatal(err)
		}
	}
	n.giveBack(t, plan)
	n.host.SameDump(t, "eth1", before)
}

// Ports return to their master.
func TestPorts(t *testing.T) {
	t.Parallel()
	const port = "\nlink add eth1 type veth peer name far\nlink set far up\nlink set eth1 master m0\nlink set eth1 up"
	for kind, script := range map[string]string{
		"bridge": "link add m0 type bridge",
		"bond":   "link add m0 type bond mode active-backup",
		"team":   "link add m0 type team",
		"vrf":    "link add m0 type vrf table 10",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.makeOr(t, kind, script+"\nlink set m0 up"+port)
			n.returnsExactly(t, "eth1")
		})
	}
}

// Ports of one bridge have their numbers again, in whatever order a pod has got them.
func TestReturnPortNumbers(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"eth1", "eth2", "eth3"}, {"eth3", "eth1", "eth2"}, {"eth3", "eth2", "eth1"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.Shell(t, `
				set -e
				ip link add br0 type bridge
				ip link set br0 up
				for d in eth1 eth2 eth3; do
					ip link add $d type veth peer name far$d
					ip link set far$d up
					ip link set $d master br0 up
				done
				bridge link set dev eth1 backup_port eth2`)
			before := map[string]string{}
			var requests []netmove.Request
			for _, dev := range order {
				before[dev] = n.host.Settled(t, dev)
				requests = append(requests, netmove.Request{Device: dev})
			}
			plan := n.attach(t, requests...)
			_ = n.mover.Undo(n.podNS, plan) // the backup of eth1 comes home after it
			n.giveBack(t, plan)
			for _, dev := range order {
				n.host.SameDump(t, dev, before[dev])
			}
		})
	}
}

// What the kernel binds to its namespace is refused before anything is touched.
func TestBoundKinds(t *testing.T) {
	t.Parallel()
	for kind, script := range map[string]string{
		"bridge": "link add eth1 type bridge",
		"bond":   "link add eth1 type bond",
		"team":   "link add eth1 type team",
		"vrf":    "link add eth1 type vrf table 10",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.makeOr(t, kind, script)
			before := n.host.Dump(t, "eth1")
			if _, err := n.plan(netmove.Request{Device: "eth1"}); !errors.Is(err, netmove.ErrImmovable) {
				t.Errorf("error is %v, want %v", err, netmove.ErrImmovable)
			}
			sameText(t, "the device", before, n.host.Dump(t, "eth1"))
		})
	}
}

// makeOr makes a device of a kind that this kernel may lack.
func (n *node) makeOr(t *testing.T, kind, script string) {
	t.Helper()
	for _, args := range lines(script) {
		if out, err := n.host.TryIP(args); err != nil {
			nstest.Unavailable(t, "kinds", kind+": "+out)
		}
	}
}
