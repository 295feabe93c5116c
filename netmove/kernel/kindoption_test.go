package kernel_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What a pod adds to the state that a device has by its kind is gone when the device is
// home, and what it took away is there. Kinds that this kernel lacks are made in a virtual
// machine, see tests/vm.
func TestPodAddsOptions(t *testing.T) {
	t.Parallel()
	const low = "link add low type veth peer name far\nlink set far up\nlink set low up\n"
	for name, c := range map[string]struct{ host, pod string }{
		"vxlan": {
			"link add eth1 type vxlan id 5 dstport 4789",
			"link set net1 type vxlan id 5 remote 10.66.66.68\nlink set net1 type vxlan id 5 local 10.66.66.69 ttl 7 tos 8 nolearning ageing 9",
		},
		"vxlan of the host's addresses": {
			"link add eth1 type vxlan id 5 dstport 4789 remote 10.1.1.1 local 10.1.1.2 ttl 3",
			"link set net1 type vxlan id 5 remote 0.0.0.0\nlink set net1 type vxlan id 5 local 0.0.0.0 ttl 0",
		},
		"vxlan over IPv6": {
			"link add eth1 type vxlan id 5 dstport 4789 local 2001:db8::5",
			"link set net1 type vxlan id 5 remote 2001:db8::66 flowlabel 6\nlink set net1 type vxlan id 5 local ::",
		},
		"macvlan source list": {
			low + "link add link low name eth1 type macvlan mode source\nlink set eth1 up",
			"link set net1 type macvlan macaddr add 02:66:00:00:00:11",
		},
		"macvlan source list of the host's": {
			low + "link add link low name eth1 type macvlan mode source\nlink set eth1 type macvlan macaddr set 02:00:00:00:00:11 02:00:00:00:00:12",
			"link set net1 type macvlan macaddr set 02:66:00:00:00:11 02:66:00:00:00:12 02:66:00:00:00:13",
		},
		"macvlan source list of the host's, emptied": {
			low + "link add link low name eth1 type macvlan mode source\nlink set eth1 type macvlan macaddr set 02:00:00:00:00:11 02:00:00:00:00:12",
			"link set net1 type macvlan mode private bcqueuelen 77",
		},
		"macvlan made to listen": {
			low + "link add link low name eth1 type macvlan mode private",
			"link set net1 type macvlan mode source\nlink set net1 type macvlan macaddr add 02:66:00:00:00:11",
		},
		"protodown": {
			low + "link add link low name eth1 type macvlan mode bridge\nlink set eth1 up\naddr add 192.0.2.1/24 dev eth1\naddr add 2001:db8::1/64 dev eth1 nodad",
			"link set net1 protodown on protodown_reason 3 on",
		},
		"protodown of the host's": {
			low + "link add link low name eth1 type macvlan mode bridge\nlink set eth1 protodown on protodown_reason 5 on\nlink set eth1 up",
			"link set net1 protodown_reason 5 off\nlink set net1 protodown off\nlink set net1 protodown_reason 3 on",
		},
		"vlan": {
			low + "link add link low name eth1 type vlan id 5",
			"link set net1 type vlan ingress-qos-map 1:2 3:4 egress-qos-map 5:6 loose_binding on",
		},
		"vlan of the host's maps": {
			low + "link add link low name eth1 type vlan id 5 ingress-qos-map 1:2 3:4 egress-qos-map 1:2 0:7",
			"link set net1 type vlan ingress-qos-map 1:0 3:5 6:6 egress-qos-map 1:0 0:3 4:4",
		},
		"macsec": {
			low + "link add link low name eth1 type macsec",
			"link set net1 type macsec replay on window 5 validate check encodingsa 2 end_station on send_sci off",
		},
		"macsec of the host's": {
			low + "link add link low name eth1 type macsec replay on window 9 encrypt on",
			"link set net1 type macsec replay off validate disabled encrypt off",
		},
		"ipvlan": {
			low + "link add link low name eth1 type ipvlan mode l2 bridge",
			"link set net1 type ipvlan mode l3 private",
		},
		"dummy":                   {"link add eth1 type dummy", "link set net1 carrier off"},
		"dummy without a carrier": {"link add eth1 type dummy\nlink set eth1 carrier off", "link set net1 carrier on"},
		"geneve": {
			"link add eth1 type geneve id 5 remote 192.0.2.9",
			"link set net1 type geneve id 5 remote 192.0.2.66 ttl 5 tos 4 df set",
		},
		"gretap": {
			"link add eth1 type gretap remote 192.0.2.9 local 192.0.2.8",
			"link set net1 type gretap remote 192.0.2.66 local 192.0.2.67 ttl 9 key 6",
		},
		"sit": {
			"link add eth1 type sit remote 192.0.2.9 local 192.0.2.8",
			"link set net1 type sit remote 192.0.2.66 local 192.0.2.67 ttl 9 6rd-prefix 2001:db8::/32",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.makeOr(t, name, c.host)
			before := n.host.Settled(t, "eth1")
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			was := n.pod.IP(t, "-d link show net1")
			for _, args := range lines(c.pod) {
				n.pod.IP(t, args)
			}
			if was == n.pod.IP(t, "-d link show net1") {
				t.Fatalf("the pod has changed nothing:\n%s", was)
			}
			n.giveBack(t, plan)
			n.host.SameDump(t, "eth1", before)
		})
	}
}

// A pod can build a vxlan on any device of the host's, by ifindex alone: the kernel looks for
// it in the namespace that the vxlan was made in. Where it was on none, it stays there, and
// that is told.
func TestPodBuildsVXLANOnTheHost(t *testing.T) {
	t.Parallel()
	for name, dev := range map[string]string{"alone": "", "on another": "dev low1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			for _, args := range []string{
				"link add low1 type veth peer name far1", "link add low2 type veth peer name far2",
				"link add eth1 type vxlan id 5 dstport 4789 " + dev,
			} {
				n.host.IP(t, args)
			}
			low, err := n.hostNS.ByName("low2")
			if err != nil {
				t.Fatal(err)
			}
			before := n.host.Settled(t, "eth1")
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			o := netmove.Option{Name: "vxlan.3", Value: nl.Uint32Attr(uint32(low.Identity.Index))} // IFLA_VXLAN_LINK
			if err := n.podNS.SetOption(plan[0].Before.Identity.Index, o); err != nil {
				t.Fatal(err)
			}
			if dev == "" {
				if err := n.mover.Return(n.podNS, &plan[0]); !errors.Is(err, netmove.ErrDiffers) || !strings.Contains(err.Error(), o.Name) {
					t.Errorf("error is %v", err)
				}
				return
			}
			n.giveBack(t, plan)
			n.host.SameDump(t, "eth1", before)
		})
	}
}
