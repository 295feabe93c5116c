package kernel

import "golang.org/x/sys/unix"

// kinds is the table of kinds: which state devices have by their kind, and how it is put
// back. A kind that is not in it is not known, and is refused.
func kinds() []kind {
	return []kind{
		{name: "", also: "what ethtool, the virtual functions and a CAN controller have"},
		{name: "veth"},
		{name: "dummy"},
		{name: "ifb"},
		{name: "nlmon"},
		{name: "vcan"},
		{name: "vxcan"},
		{name: "bareudp"},
		{name: "macvlan", options: macvlanOptions()},
		{name: "macvtap", options: macvlanOptions()},
		{name: "ipvlan", options: ipvlanOptions()},
		{name: "ipvtap", options: ipvlanOptions()},
		{name: "macsec", unread: "secure channels and associations of MACsec"},
		{name: "vlan"},
		{name: "vxlan", also: "forwarding entries"},
		{name: "geneve"},
		{name: "gre", atOnce: true},
		{name: "gretap", atOnce: true},
		{name: "erspan", atOnce: true},
		{name: "ip6gre", atOnce: true},
		{name: "ip6gretap", atOnce: true},
		{name: "ip6erspan", atOnce: true},
		{name: "ipip", atOnce: true},
		{name: "sit", atOnce: true},
		{name: "ip6tnl", atOnce: true},
		{name: "vti", atOnce: true},
		{name: "vti6", atOnce: true},
		{name: "xfrm", atOnce: true},
		{name: "netkit", unread: "programs of netkit"},
		{name: "tun", also: "owner and group"},
		{name: "wireguard", also: "keys and peers"},
		{name: "can"},
		{name: "bridge", bound: true},
		{name: "bond", bound: true},
		{name: "team", bound: true},
		{name: "vrf", bound: true},
		{name: "batadv", bound: true},
		{name: "openvswitch", bound: true},
		{name: "ovs-netdev", bound: true},
	}
}

func macvlanOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_MACVLAN_MODE, name: "mode"},
		{typ: unix.IFLA_MACVLAN_MACADDR_COUNT, name: "macaddr count", use: reported},
		{typ: unix.IFLA_MACVLAN_BC_QUEUE_LEN_USED, name: "usedbcqueuelen", use: reported},
	}
}

func ipvlanOptions() []kindOption {
	return []kindOption{{typ: unix.IFLA_IPVLAN_MODE, name: "mode"}, {typ: unix.IFLA_IPVLAN_FLAGS, name: "flags"}}
}
