package kernel_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// shell runs a script on the host, unless this machine lacks what it needs.
func (n *node) shell(t *testing.T, what, script string) {
	t.Helper()
	if out, err := n.host.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		nstest.Unavailable(t, what, script+": "+string(out))
	}
}

// Chains and flowtables of nftables name devices.
func TestLossOfNFT(t *testing.T) {
	t.Parallel()
	for script, loss := range map[string]string{
		"table netdev t { chain c { type filter hook ingress device \"eth1\" priority 0; }; }":                  "chain c of table t",
		"table netdev t { chain c { type filter hook ingress devices = { \"eth1\", \"eth2\" } priority 0; }; }": "chain c of table t",
		"table inet t { chain c { type filter hook ingress device \"eth1\" priority 0; }; }":                    "chain c of table t",
		"table netdev t { chain c { type filter hook ingress device \"eth2\" priority 0; }; }":                  "",
		"table inet t { chain c { type filter hook input priority 0; iifname \"eth1\" drop; }; }":               "",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.veth(t, "eth1")
			n.veth(t, "eth2")
			n.shell(t, "nft", "nft '"+script+"'")
			if got := n.lossesOf(t, "eth1")[netmove.LossNFT]; got != loss {
				t.Errorf("loss is %q, want %q", got, loss)
			}
		})
	}
}

// A redirect to the device leads nowhere when it has been away.
func TestLossOfRedirects(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	redirect := "protocol all u32 match u32 0 0 action mirred egress redirect dev "
	n.shell(t, "tc", `
		tc qdisc add dev eth2 clsact
		tc filter add dev eth2 ingress prio 1 `+redirect+`eth1
		tc filter add dev eth2 ingress prio 2 `+redirect+`eth2`)
	if got := n.lossesOf(t, "eth1")[netmove.LossQdisc]; got != "1 actions (mirred) send frames to it" {
		t.Errorf("loss is %q", got)
	}
	n.giveBack(t, n.attach(t, netmove.Request{Device: "eth1"}))
	if got := n.lossesOf(t, "eth1"); len(got) != 0 {
		t.Errorf("the kernel has put it back, %q: allow it?", got)
	}
}

// A soft RDMA device is deleted with the device it is made on.
func TestLossOfRDMA(t *testing.T) {
	n, _ := newMachine(t)
	n.shell(t, "rdma", "ip link set "+firstNIC+" up; rdma link add rxe0 type rxe netdev "+firstNIC)
	defer n.host.Command("rdma", "link", "delete", "rxe0").Run() //nolint:errcheck // it goes with its device
	if got := n.lossesOf(t, firstNIC)[netmove.LossRDMA]; got != `rxe0, of kind "rxe", is made on it` {
		t.Errorf("loss is %q", got)
	}
	if got := n.lossesOf(t, secondNIC)[netmove.LossRDMA]; got != "" {
		t.Errorf("loss of another device is %q", got)
	}
}

// Rules of cangw name controllers, as where frames come from and as where they go.
func TestLossOfCANRules(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.shell(t, "can", `
		for i in 1 2 3; do ip link add vcan$i type vcan; ip link set vcan$i up; done
		cangw -A -s vcan1 -d vcan2 -e`)
	for name, want := range map[string]string{"vcan1": "vcan1 to vcan2", "vcan2": "vcan1 to vcan2", "vcan3": ""} {
		if got := n.lossesOf(t, name)[netmove.LossCANGW]; got != want {
			t.Errorf("%s: loss is %q, want %q", name, got, want)
		}
	}
}

// Routes of MPLS go on without the device.
func TestLossOfMPLS(t *testing.T) {
	t.Parallel()
	n := twoNICs(t)
	n.shell(t, "mpls", `
		sysctl -qw net.mpls.platform_labels=100
		ip -f mpls route add 16 via inet 203.0.113.254 dev eth1
		ip -f mpls route add 17 via inet 192.0.2.254 dev eth0`)
	if got := n.lossesOf(t, "eth1")[netmove.LossRoutes]; got != "MPLS label 16" {
		t.Errorf("loss is %q", got)
	}
}

// A flowtable names devices as chains do.
func TestLossOfFlowtable(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.veth(t, "eth2")
	n.shell(t, "flowtable", `printf 'table inet t {\n flowtable f {\n hook ingress priority 0\n devices = { "eth1" }\n }\n}\n' | nft -f -`)
	for name, want := range map[string]string{"eth1": "flowtable f of table t", "eth2": ""} {
		if got := n.lossesOf(t, name)[netmove.LossNFT]; got != want {
			t.Errorf("%s: loss is %q, want %q", name, got, want)
		}
	}
}

// State that the table of kinds does not put back is told of.
func TestLossOfKind(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	n.makeOr(t, "macsec", "link add link eth1 name sec0 type macsec")
	for name, want := range map[string]string{"sec0": "secure channels and associations", "eth1": ""} {
		if got := n.lossesOf(t, name)[netmove.LossKindOf]; got != want {
			t.Errorf("%s: loss is %q, want %q", name, got, want)
		}
	}
}

// A wireless device belongs to its radio, which is what can be moved.
func TestBoundWireless(t *testing.T) {
	n, _ := newMachine(t)
	n.shell(t, "wlan", "modprobe mac80211_hwsim radios=1")
	defer n.host.Command("modprobe", "-r", "mac80211_hwsim").Run() //nolint:errcheck // the machine ends soon
	dev, err := netmove.Read(n.hostNS, "wlan0")
	if err != nil || !dev.Role.Immovable {
		t.Errorf("role is %+v, %v", dev.Role, err)
	}
}

// A virtio NIC has its PCI address one level up.
func TestPhysicalPCIAddress(t *testing.T) {
	n, _ := newMachine(t)
	for name, want := range map[string]string{firstNIC: "0000:00:02.0", thirdNIC: "0000:00:04.0", "lo": ""} {
		dev, err := n.hostNS.ByName(name)
		if err != nil || dev.Identity.PCIAddress() != want {
			t.Errorf("%s: PCI address is %q, %v, want %q", name, dev.Identity.PCIAddress(), err, want)
		}
	}
}

// A VLAN that another pod has loses its addresses with the NIC.
func TestLossOfForeignVLAN(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	other := nstest.New(t)
	n.host.IP(t, "link set eth1 up")
	n.makeOr(t, "vlan", "link add link eth1 name eth1.5 type vlan id 5")
	n.host.IP(t, "link set eth1.5 netns "+other.Path()+" name net1")
	if got := n.lossesOf(t, "eth1")[netmove.LossUppers]; got != `net1, of kind "vlan", is built on it in another namespace` {
		t.Errorf("loss is %q", got)
	}
}

// An ipvlan is found in a namespace that the host does not know.
func TestLossOfForeignIPVLAN(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.veth(t, "eth1")
	other := nstest.New(t)
	n.host.IP(t, "link set eth1 up")
	n.makeOr(t, "ipvlan", "link add link eth1 netns "+other.Path()+" name ipv0 type ipvlan mode l2")
	other.IP(t, "link set ipv0 up")
	if got := n.lossesOf(t, "eth1")[netmove.LossUppers]; got != `a device of kind "ipvlan" is built on it in a namespace that this one does not know` {
		t.Errorf("loss is %q", got)
	}
}

// In a VRF the routes that go with an address are those of its table.
func TestLossOfVRFRoutes(t *testing.T) {
	t.Parallel()
	n := twoNICs(t)
	n.makeOr(t, "vrf", `
		link add vrf1 type vrf table 10
		link set vrf1 up
		link set eth0 master vrf1
		link set eth1 master vrf1`)
	n.host.IP(t, "route add 10.9.0.0/16 via 192.0.2.254 src 203.0.113.1 table 10")
	const want = "10.9.0.0/16 dev eth0 has its address 203.0.113.1 as source"
	if got := n.lossesOf(t, "eth1")[netmove.LossRoutes]; got != want {
		t.Errorf("loss is %q, want %q", got, want)
	}
	n.sameRoutesAfter(t, "eth1")
}
