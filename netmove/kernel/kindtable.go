package kernel

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// kinds is the table of kinds: which state a device has by its kind, and how that is put
// back. The state of a kind that is not in it is not known.
func kinds() []kind {
	return []kind{
		{
			name: "", also: "virtual functions", unreadIf: noHardware,
			left: "RSS contexts, fields of hashes, flow rules, settings of one NAPI alone, files that a driver has in sysfs",
		},
		{name: "veth", pair: true},
		{name: "dummy", carrier: true},
		{name: "ifb"},
		{name: "nlmon"},
		{name: "vcan"},
		{name: "vxcan", pair: true},
		{name: "can", options: canOptions, left: "a bit rate where there was none, delay compensation of transmitters"},
		{name: "vlan", outlast: true, options: vlanOptions},
		{name: "macvlan", outlast: true, options: macvlanOptions, unreadIf: passthru},
		{name: "macvtap", outlast: true, options: macvlanOptions, unreadIf: passthru},
		{name: "ipvlan", outlast: true, options: ipvlanOptions},
		{name: "ipvtap", outlast: true, options: ipvlanOptions},
		{name: "macsec", atOnce: true, options: macsecOptions, unread: "secure channels and associations"},
		{name: "vxlan", options: vxlanOptions, also: "forwarding entries, VNIs, multicast groups", left: "a device below it where there was none"},
		{name: "geneve", options: geneveOptions},
		{name: "bareudp", options: bareudpOptions},
		{name: "gre", atOnce: true, also: everyOption},
		{name: "gretap", atOnce: true, also: everyOption},
		{name: "erspan", atOnce: true, also: everyOption},
		{name: "ip6gre", atOnce: true, also: everyOption},
		{name: "ip6gretap", atOnce: true, also: everyOption},
		{name: "ip6erspan", atOnce: true, also: everyOption},
		{name: "ipip", atOnce: true, also: everyOption},
		{name: "sit", atOnce: true, also: everyOption + ", potential routers"},
		{name: "ip6tnl", atOnce: true, also: everyOption},
		{name: "vti", atOnce: true, also: everyOption},
		{name: "vti6", atOnce: true, also: everyOption},
		{name: "xfrm", atOnce: true, also: everyOption},
		{
			name: "tun", options: tunOptions, also: "link type, offloads, headers, a filter where there was none",
			left: "an owner or a group where there was none, filters of MACs, eBPF programs, another filter than there was",
		},
		{name: "wireguard", also: "keys and peers"},
		{name: "ipoib", options: ipoibOptions},
		{name: "netkit", pair: true, options: netkitOptions, unread: "programs of netkit"},
		{name: "bridge", bound: true, master: true},
		{name: "bond", bound: true, master: true},
		{name: "team", bound: true, master: true},
		{name: "vrf", bound: true, master: true},
		{name: "batadv", bound: true},
		{name: "openvswitch", bound: true},
		{name: "ovs-netdev", bound: true},
		{name: "bridge" + slaveSuffix, options: bridgePortOptions, also: everyOption + ", VLANs, forwarding entries, multicast groups"},
		{name: "bond" + slaveSuffix, options: bondPortOptions},
		{name: "team" + slaveSuffix},
		{name: "vrf" + slaveSuffix, options: vrfPortOptions},
	}
}

// everyOption is what is put back of kinds whose options are not told one by one.
const everyOption = "every option"

// noHardware tells of a device that has no kind and is no hardware: some driver has made it
// that knows no rtnetlink.
func noHardware(dev netmove.Snapshot) string {
	if dev.Identity.Parent == "" {
		return "the state of a device without a kind is not known"
	}
	return ""
}

// passthru tells of a macvlan that has the device below it for itself. The kernel counts on that
// device who wants every frame, or every group, and a pod can make it miscount by a macvlan in
// this mode alone. It neither tells the count of groups nor takes back a wrong one.
func passthru(dev netmove.Snapshot) string {
	name := dev.Identity.Kind + "." + strconv.Itoa(unix.IFLA_MACVLAN_MODE)
	for _, o := range dev.Options {
		if o.Name == name && u32(o.Value) == nl.MACVLAN_MODE_PASSTHRU {
			return "what a macvlan in mode passthru makes the device below it receive"
		}
	}
	return ""
}

// number is a value of 32 bits.
func number(n uint32) []byte { return nl.Uint32Attr(n) }

func vlanOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_VLAN_ID, name: "id", use: creation},
		{typ: unix.IFLA_VLAN_PROTOCOL, name: "protocol", use: creation},
		{typ: unix.IFLA_VLAN_FLAGS, name: "flags", request: vlanFlags},
		{
			typ: unix.IFLA_VLAN_INGRESS_QOS, name: "ingress-qos-map", use: list, absent: []byte{},
			request: priorities(unix.IFLA_VLAN_INGRESS_QOS),
		},
		{
			typ: unix.IFLA_VLAN_EGRESS_QOS, name: "egress-qos-map", use: list, absent: []byte{},
			request: priorities(unix.IFLA_VLAN_EGRESS_QOS),
		},
	}
}

// vlanFlags makes the request for the flags of a VLAN (struct ifla_vlan_flags). The kernel
// tells all bits in the mask, and takes those alone that it knows.
func vlanFlags(ns *Namespace, index int, value []byte) ([]byte, error) {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return nil, err
	}
	flags, differ := u32(value), u32(value)^u32(l.kindOption("vlan", unix.IFLA_VLAN_FLAGS))
	m := message{}
	m.add(unix.IFLA_VLAN_FLAGS, slices.Concat(number(flags), number(differ)))
	return m.bytes(), nil
}

// priorities makes requests for a map of priorities (struct ifla_vlan_qos_mapping). A
// request changes what it names and leaves the others, so what the device has too much is
// mapped to 0, which is as if it were not there.
func priorities(typ uint16) func(*Namespace, int, []byte) ([]byte, error) {
	const sizeofMapping, to = 8, 4
	return func(ns *Namespace, index int, value []byte) ([]byte, error) {
		l, err := ns.linkByIndex(index)
		if err != nil {
			return nil, err
		}
		has, err := parseMessage(l.kindOption("vlan", typ), 0)
		if err != nil {
			return nil, err
		}
		gone := message{}
		for _, m := range has.attrs {
			if len(m.Value) == sizeofMapping {
				binary.NativeEndian.PutUint32(m.Value[to:], 0)
				gone.add(unix.IFLA_VLAN_QOS_MAPPING, m.Value)
			}
		}
		return nested(int(typ), append(gone.bytes(), value...)), nil
	}
}

func macvlanOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_MACVLAN_MODE, name: "mode"},
		{typ: unix.IFLA_MACVLAN_FLAGS, name: "flags"},
		{typ: unix.IFLA_MACVLAN_MACADDR_COUNT, name: "macaddr count", use: reported},
		{typ: unix.IFLA_MACVLAN_MACADDR_DATA, name: "macaddr", use: list, absent: []byte{}, request: sourceList},
		{typ: unix.IFLA_MACVLAN_BC_QUEUE_LEN, name: "bcqueuelen"},
		{typ: unix.IFLA_MACVLAN_BC_QUEUE_LEN_USED, name: "usedbcqueuelen", use: reported},
		{typ: unix.IFLA_MACVLAN_BC_CUTOFF, name: "bclim", absent: number(1)},
	}
}

// sourceList makes the request for the MACs that a macvlan in source mode listens to.
func sourceList(_ *Namespace, _ int, value []byte) ([]byte, error) {
	const set, flush = 3, 2 // MACVLAN_MACADDR_SET, MACVLAN_MACADDR_FLUSH
	m := message{}
	if len(value) == 0 {
		m.add(unix.IFLA_MACVLAN_MACADDR_MODE, number(flush))
		return m.bytes(), nil
	}
	m.add(unix.IFLA_MACVLAN_MACADDR_MODE, number(set))
	m.add(unix.NLA_F_NESTED|unix.IFLA_MACVLAN_MACADDR_DATA, value)
	return m.bytes(), nil
}

func ipvlanOptions() []kindOption {
	return []kindOption{{typ: unix.IFLA_IPVLAN_MODE, name: "mode"}, {typ: unix.IFLA_IPVLAN_FLAGS, name: "flags"}}
}

func macsecOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_MACSEC_SCI, name: "sci", use: creation},
		{typ: unix.IFLA_MACSEC_ICV_LEN, name: "icvlen", use: creation},
		{typ: unix.IFLA_MACSEC_CIPHER_SUITE, name: "cipher", use: creation},
		{typ: unix.IFLA_MACSEC_WINDOW, name: "window"},
		{typ: unix.IFLA_MACSEC_ENCODING_SA, name: "encodingsa"},
		{typ: unix.IFLA_MACSEC_ENCRYPT, name: "encrypt"},
		{typ: unix.IFLA_MACSEC_PROTECT, name: "protect"},
		{typ: unix.IFLA_MACSEC_INC_SCI, name: "send_sci"},
		{typ: unix.IFLA_MACSEC_ES, name: "end_station"},
		{typ: unix.IFLA_MACSEC_SCB, name: "scb"},
		{typ: unix.IFLA_MACSEC_REPLAY_PROTECT, name: "replay"},
		{typ: unix.IFLA_MACSEC_VALIDATION, name: "validate"},
		{typ: unix.IFLA_MACSEC_OFFLOAD, name: "offload"},
	}
}

// vxlanOptions are told without addresses and device where those are not set. The family of
// the addresses is never changed, and so only those of one are ever told. A device below is
// exchanged for another one, and never taken away (vxlan_changelink).
func vxlanOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_VXLAN_ID, name: "id", use: creation},
		{typ: unix.IFLA_VXLAN_LINK, name: "dev"},
		{typ: unix.IFLA_VXLAN_GROUP, name: "remote", absent: make([]byte, net4)},
		{typ: unix.IFLA_VXLAN_LOCAL, name: "local", absent: make([]byte, net4)},
		{typ: unix.IFLA_VXLAN_GROUP6, name: "remote", absent: make([]byte, net6)},
		{typ: unix.IFLA_VXLAN_LOCAL6, name: "local", absent: make([]byte, net6)},
		{typ: unix.IFLA_VXLAN_TTL, name: "ttl"},
		{typ: unix.IFLA_VXLAN_TOS, name: "tos"},
		{typ: unix.IFLA_VXLAN_LABEL, name: "flowlabel"},
		{typ: unix.IFLA_VXLAN_DF, name: "df"},
		{typ: unix.IFLA_VXLAN_LEARNING, name: "learning"},
		{typ: unix.IFLA_VXLAN_AGEING, name: "ageing"},
		{typ: unix.IFLA_VXLAN_TTL_INHERIT, name: "ttl inherit", use: creation},
		{typ: unix.IFLA_VXLAN_LIMIT, name: "maxaddress", use: creation},
		{typ: unix.IFLA_VXLAN_PORT_RANGE, name: "srcport", use: creation},
		{typ: unix.IFLA_VXLAN_PORT, name: "dstport", use: creation},
		{typ: unix.IFLA_VXLAN_PROXY, name: "proxy", use: creation},
		{typ: unix.IFLA_VXLAN_RSC, name: "rsc", use: creation},
		{typ: unix.IFLA_VXLAN_L2MISS, name: "l2miss", use: creation},
		{typ: unix.IFLA_VXLAN_L3MISS, name: "l3miss", use: creation},
		{typ: unix.IFLA_VXLAN_UDP_CSUM, name: "udpcsum", use: creation},
		{typ: unix.IFLA_VXLAN_COLLECT_METADATA, name: "external", use: creation},
	}
}

// Sizes of addresses in bytes.
const net4, net6 = 4, 16

func geneveOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_GENEVE_ID, name: "id", use: creation},
		{typ: unix.IFLA_GENEVE_REMOTE, name: "remote"},
		{typ: unix.IFLA_GENEVE_REMOTE6, name: "remote"},
		{typ: unix.IFLA_GENEVE_TTL, name: "ttl"},
		{typ: unix.IFLA_GENEVE_TOS, name: "tos"},
		{typ: unix.IFLA_GENEVE_LABEL, name: "flowlabel"},
		{typ: unix.IFLA_GENEVE_DF, name: "df"},
		{typ: unix.IFLA_GENEVE_TTL_INHERIT, name: "ttl inherit"},
		{typ: unix.IFLA_GENEVE_PORT, name: "dstport", use: creation},
		{typ: unix.IFLA_GENEVE_COLLECT_METADATA, name: "external", use: creation},
		{typ: unix.IFLA_GENEVE_UDP_CSUM, name: "udpcsum", use: creation},
		{typ: unix.IFLA_GENEVE_INNER_PROTO_INHERIT, name: "innerprotoinherit", use: creation},
	}
}

func bareudpOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_BAREUDP_PORT, name: "dstport", use: creation},
		{typ: unix.IFLA_BAREUDP_ETHERTYPE, name: "ethertype", use: creation},
		{typ: unix.IFLA_BAREUDP_SRCPORT_MIN, name: "srcportmin", use: creation},
		{typ: unix.IFLA_BAREUDP_MULTIPROTO_MODE, name: "multiproto", use: creation},
	}
}

func netkitOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_NETKIT_POLICY, name: "policy"},
		{typ: unix.IFLA_NETKIT_PEER_POLICY, name: "peer policy"},
		{typ: unix.IFLA_NETKIT_PRIMARY, name: "primary", use: reported},
		{typ: unix.IFLA_NETKIT_MODE, name: "mode", use: creation},
	}
}

// tunOptions are reports but for what is set by who is attached.
func tunOptions() []kindOption {
	return []kindOption{
		{typ: unix.IFLA_TUN_OWNER, name: "owner", absent: number(nobody), set: tunOwner(unix.TUNSETOWNER)},
		{typ: unix.IFLA_TUN_GROUP, name: "group", absent: number(nobody), set: tunOwner(unix.TUNSETGROUP)},
		{typ: unix.IFLA_TUN_TYPE, name: "type", use: reported},
		{typ: unix.IFLA_TUN_PI, name: "pi", set: tunFlag(unix.IFF_NO_PI, 0)},
		{typ: unix.IFLA_TUN_VNET_HDR, name: "vnet_hdr", set: tunFlag(0, unix.IFF_VNET_HDR)},
		{typ: unix.IFLA_TUN_PERSIST, name: "persist", use: reported},
		{typ: unix.IFLA_TUN_MULTI_QUEUE, name: "multi_queue", use: reported},
		{typ: unix.IFLA_TUN_NUM_QUEUES, name: "numqueues", use: reported},
		{typ: unix.IFLA_TUN_NUM_DISABLED_QUEUES, name: "numdisabled", use: reported},
	}
}

// ipoibOptions are those of IP over InfiniBand (linux/if_link.h).
func ipoibOptions() []kindOption {
	const pkey, mode, umcast = 1, 2, 3 // IFLA_IPOIB_*
	return []kindOption{{typ: pkey, name: "pkey", use: creation}, {typ: mode, name: "mode"}, {typ: umcast, name: "umcast"}}
}

func vrfPortOptions() []kindOption {
	return []kindOption{{typ: unix.IFLA_VRF_PORT_TABLE, name: "table", use: reported}}
}

func bridgePortOptions() []kindOption {
	options := []kindOption{
		{typ: unix.IFLA_BRPORT_BACKUP_PORT, name: "backup_port", absent: number(0)},
		{typ: unix.IFLA_BRPORT_BACKUP_NHID, name: "backup_nhid", absent: number(0)},
	}
	for _, typ := range []uint16{
		unix.IFLA_BRPORT_STATE, unix.IFLA_BRPORT_ROOT_ID, unix.IFLA_BRPORT_BRIDGE_ID, unix.IFLA_BRPORT_DESIGNATED_PORT,
		unix.IFLA_BRPORT_DESIGNATED_COST, unix.IFLA_BRPORT_ID, unix.IFLA_BRPORT_NO, unix.IFLA_BRPORT_TOPOLOGY_CHANGE_ACK,
		unix.IFLA_BRPORT_CONFIG_PENDING, unix.IFLA_BRPORT_MESSAGE_AGE_TIMER, unix.IFLA_BRPORT_FORWARD_DELAY_TIMER,
		unix.IFLA_BRPORT_HOLD_TIMER, unix.IFLA_BRPORT_MRP_RING_OPEN, unix.IFLA_BRPORT_MRP_IN_OPEN,
		unix.IFLA_BRPORT_MCAST_EHT_HOSTS_CNT, unix.IFLA_BRPORT_MCAST_N_GROUPS,
	} {
		options = append(options, kindOption{typ: typ, use: reported})
	}
	return options
}

// bondPortOptions are reports but for the queue's number and the priority.
func bondPortOptions() []kindOption {
	const churnActor, churnPartner = 11, 12 // IFLA_BOND_SLAVE_AD_CHURN_ACTOR_STATE and _PARTNER_STATE
	options := []kindOption{{typ: unix.IFLA_BOND_SLAVE_QUEUE_ID, name: "queue_id"}, {typ: unix.IFLA_BOND_SLAVE_PRIO, name: "prio"}}
	for _, typ := range []uint16{
		unix.IFLA_BOND_SLAVE_STATE, unix.IFLA_BOND_SLAVE_MII_STATUS, unix.IFLA_BOND_SLAVE_LINK_FAILURE_COUNT,
		unix.IFLA_BOND_SLAVE_PERM_HWADDR, unix.IFLA_BOND_SLAVE_AD_AGGREGATOR_ID, unix.IFLA_BOND_SLAVE_AD_ACTOR_OPER_PORT_STATE,
		unix.IFLA_BOND_SLAVE_AD_PARTNER_OPER_PORT_STATE, churnActor, churnPartner,
	} {
		options = append(options, kindOption{typ: typ, use: reported})
	}
	return options
}
