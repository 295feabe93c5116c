package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/if_link.h and linux/rtnetlink.h.
const (
	iflaNetnsImmutable   = 67     // IFLA_NETNS_IMMUTABLE, Linux 6.14
	rtextFilterSkipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS
)

// isRunning are the bits of ifi_flags of a device that can send: it has a carrier (IFF_LOWER_UP),
// and the kernel has taken note of that and started its queues (IFF_RUNNING).
const isRunning = unix.IFF_RUNNING | unix.IFF_LOWER_UP

// link is what one RTM_NEWLINK of the kernel says about a device.
type link struct {
	netmove.Device
	hardware     uint16      // ifi_type, ARPHRD_*
	promiscuity  int         // IFLA_PROMISCUITY
	alone        bool        // nobody asks on its link who has an address
	toldBound    bool        // the kernel tells whether it binds the device (IFLA_NETNS_IMMUTABLE)
	lower        int         // IFLA_LINK, 0 for none
	lowerForeign bool        // IFLA_LINK_NETNSID: lower is an index of another namespace
	lowerNetns   int         // the id of that
	ownMAC       netmove.MAC // of a bond's port
	xdp          []netmove.Program
	carrier      []byte  // IFLA_CARRIER
	tun          message // IFLA_INFO_DATA of a tun or tap device
}

// linkByName reads the device with that name or altname.
func (ns *Namespace) linkByName(name string) (link, error) {
	// A name of IFNAMSIZ bytes or more can only be an altname. Asking for any
	// name as an altname finds kernel names too (rtnl_dev_get).
	l, err := ns.getLink(&nl.IfInfomsg{}, nl.NewRtAttr(unix.IFLA_ALT_IFNAME, nl.ZeroTerminated(name)))
	if err != nil {
		return link{}, fmt.Errorf("device %q: %w", name, err)
	}
	return l, nil
}

// linkByIndex reads the device with that ifindex.
func (ns *Namespace) linkByIndex(index int) (link, error) {
	l, err := ns.getLink(ifInfo(index))
	if err != nil {
		return link{}, fmt.Errorf("device with ifindex %d: %w", index, err)
	}
	return l, nil
}

func (ns *Namespace) getLink(info *nl.IfInfomsg, attrs ...*nl.RtAttr) (link, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.AddData(info)
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(rtextFilterSkipStats)))
	for _, a := range attrs {
		req.AddData(a)
	}
	msgs, err := ns.exchange(req, unix.RTM_NEWLINK)
	if is(err, unix.ENODEV) {
		return link{}, netmove.ErrNotFound
	}
	if err != nil {
		return link{}, err
	}
	if len(msgs) != 1 {
		return link{}, fmt.Errorf("%d answers to RTM_GETLINK, want 1", len(msgs))
	}
	return parseLink(msgs[0])
}

func ifInfo(index int) *nl.IfInfomsg {
	return &nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Family: unix.AF_UNSPEC, Index: int32(index)}}
}

// outlivesMove reports whether devices of that kind are left as they are when the one
// that they are built on moves (dev_change_net_namespace tells it to the drivers as
// NETDEV_UNREGISTER). vxlan, macsec, hsr and others delete theirs, or let go.
func outlivesMove(kind string) bool {
	k, _ := kindOf(kind)
	return k.outlast
}

// takesBack reports whether a master of that kind takes a port by IFLA_MASTER.
func takesBack(kind string) bool {
	k, _ := kindOf(kind)
	return k.master
}

func parseLink(msg []byte) (link, error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return link{}, errors.New("short RTM_NEWLINK")
	}
	info := nl.DeserializeIfInfomsg(msg)
	attrs, err := nl.ParseRouteAttr(msg[unix.SizeofIfInfomsg:])
	if err != nil {
		return link{}, fmt.Errorf("attributes of RTM_NEWLINK: %w", err)
	}
	var l link
	l.Flags, l.Parts = parseFlags(info.Flags), netmove.PartLink
	l.Identity.Index, l.hardware = int(info.Index), info.Type
	l.Role.Loopback = info.Flags&unix.IFF_LOOPBACK != 0
	l.Running = info.Flags&isRunning == isRunning
	l.alone = info.Flags&(unix.IFF_NOARP|unix.IFF_POINTOPOINT|unix.IFF_LOOPBACK) != 0
	for _, a := range attrs {
		if err := l.set(a); err != nil {
			return link{}, err
		}
	}
	if l.ownMAC != nil {
		l.MAC = l.ownMAC
	}
	if l.Identity.Kind == "tun" {
		l.addOption(netmove.LinkType, number(uint32(l.hardware)))
	}
	l.Role.Immovable = l.Role.Immovable || boundToNamespace(l.Identity.Kind)
	l.Role.ForeignPeer = isPair(l.Identity.Kind) && l.lowerForeign
	if !l.lowerForeign {
		l.Below = l.standsOn()
	}
	return l, nil
}

// set takes over one attribute of RTM_NEWLINK.
func (l *link) set(a syscall.NetlinkRouteAttr) error {
	switch a.Attr.Type &^ unix.NLA_F_NESTED {
	case unix.IFLA_IFNAME:
		l.Name = unix.ByteSliceToString(a.Value)
	case unix.IFLA_IFALIAS:
		l.Alias = unix.ByteSliceToString(a.Value)
	case unix.IFLA_ADDRESS:
		l.MAC = netmove.MAC(a.Value)
	case unix.IFLA_MTU:
		l.MTU = int(u32(a.Value))
	case unix.IFLA_MIN_MTU:
		l.MinMTU = int(u32(a.Value))
	case unix.IFLA_MAX_MTU:
		l.MaxMTU = int(u32(a.Value))
	case unix.IFLA_TSO_MAX_SIZE:
		l.TSOMaxSize = int(u32(a.Value))
	case unix.IFLA_QDISC:
		l.Qdisc = unix.ByteSliceToString(a.Value)
	case unix.IFLA_TXQLEN:
		l.TxQueueLen = int(u32(a.Value))
	case unix.IFLA_GROUP:
		l.Group = int(u32(a.Value))
	case unix.IFLA_MASTER:
		l.Master.Index = int(u32(a.Value))
	case unix.IFLA_PROMISCUITY:
		l.promiscuity = int(u32(a.Value))
	case unix.IFLA_LINK:
		l.lower = int(u32(a.Value))
	case unix.IFLA_LINK_NETNSID:
		l.lowerForeign, l.lowerNetns = true, int(int32(u32(a.Value)))
	case unix.IFLA_PERM_ADDRESS:
		l.Identity.PermMAC = netmove.MAC(a.Value)
	case unix.IFLA_PARENT_DEV_NAME:
		l.Identity.Parent = unix.ByteSliceToString(a.Value)
	case unix.IFLA_PARENT_DEV_BUS_NAME:
		l.Identity.Bus = unix.ByteSliceToString(a.Value)
	case iflaNetnsImmutable:
		l.toldBound = true
		l.Role.Immovable = len(a.Value) == 1 && a.Value[0] != 0
	case unix.IFLA_LINKINFO:
		return l.setInfo(a.Value)
	case unix.IFLA_AF_SPEC:
		return l.setFamilies(a.Value)
	case unix.IFLA_XDP:
		return l.setXDP(a.Value)
	case unix.IFLA_PROP_LIST:
		return l.setAltnames(a.Value)
	default:
		return l.addLinkOption(a.Attr.Type&^unix.NLA_F_NESTED, a.Value)
	}
	return nil
}

func (l *link) setAltnames(props []byte) error {
	attrs, err := nl.ParseRouteAttr(props)
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_ALT_IFNAME {
			l.Altnames = append(l.Altnames, unix.ByteSliceToString(a.Value))
		}
	}
	return err
}

func parseFlags(bits uint32) netmove.LinkFlags {
	return netmove.LinkFlags{
		Up:         bits&unix.IFF_UP != 0,
		NoARP:      bits&unix.IFF_NOARP != 0,
		Promisc:    bits&unix.IFF_PROMISC != 0,
		AllMulti:   bits&unix.IFF_ALLMULTI != 0,
		Multicast:  bits&unix.IFF_MULTICAST != 0,
		Debug:      bits&unix.IFF_DEBUG != 0,
		NoTrailers: bits&unix.IFF_NOTRAILERS != 0,
		Dynamic:    bits&unix.IFF_DYNAMIC != 0,
		PortSel:    bits&unix.IFF_PORTSEL != 0,
		AutoMedia:  bits&unix.IFF_AUTOMEDIA != 0,
	}
}

// boundToNamespace tells the kinds that a kernel before 6.14, which does not
// say so itself, refuses to move (NETIF_F_NETNS_LOCAL).
func boundToNamespace(kind string) bool {
	k, _ := kindOf(kind)
	return k.bound
}

func u32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

// isPair tells the kinds whose IFLA_LINK is their other end.
func isPair(kind string) bool {
	k, _ := kindOf(kind)
	return k.pair
}
