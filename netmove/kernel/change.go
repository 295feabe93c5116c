package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Move moves the device into another namespace and renames it.
func (ns *Namespace) Move(index int, to netmove.Namespace, name string, newIndex int) error {
	target, ok := to.(*Namespace)
	if !ok {
		return fmt.Errorf("move to a %T: not a namespace of this kernel", to)
	}
	attrs := []*nl.RtAttr{
		nl.NewRtAttr(unix.IFLA_NET_NS_FD, target.fd()),
		nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)),
	}
	if newIndex != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.IFLA_NEW_IFINDEX, nl.Uint32Attr(uint32(newIndex))))
	}
	err := ns.newLink(ifInfo(index), attrs...)
	if is(err, unix.EBUSY) && newIndex != 0 {
		return fmt.Errorf("ifindex %d: %w: %w", newIndex, netmove.ErrIndexTaken, err)
	}
	return err
}

// Rename gives the device another name.
func (ns *Namespace) Rename(index int, name string) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
}

// SetMTU sets the MTU in bytes.
func (ns *Namespace) SetMTU(index, mtu int) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(mtu))))
}

// SetMAC sets the link-layer address.
func (ns *Namespace) SetMAC(index int, mac netmove.MAC) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_ADDRESS, mac))
}

// SetAlias sets the alias; "" removes it.
func (ns *Namespace) SetAlias(index int, alias string) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
}

// SetTxQueueLen sets the length of the transmit queue in packets.
func (ns *Namespace) SetTxQueueLen(index, packets int) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_TXQLEN, nl.Uint32Attr(uint32(packets))))
}

// SetGroup sets the device group.
func (ns *Namespace) SetGroup(index, group int) error {
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(uint32(group))))
}

// SetMaster makes the device a port of the device with index master, 0 of none.
func (ns *Namespace) SetMaster(index, master int) error {
	err := ns.newLink(ifInfo(index), nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
	if master != 0 && is(err, unix.EPERM) { // bond_enslave, of a device that is up
		return fmt.Errorf("%w: %w", netmove.ErrBusy, err)
	}
	return err
}

// SetFlags sets every flag but Up.
func (ns *Namespace) SetFlags(index int, f netmove.LinkFlags) error {
	info := ifInfo(index)
	for bit, on := range map[uint32]bool{
		unix.IFF_NOARP:      f.NoARP,
		unix.IFF_PROMISC:    f.Promisc,
		unix.IFF_ALLMULTI:   f.AllMulti,
		unix.IFF_MULTICAST:  f.Multicast,
		unix.IFF_DEBUG:      f.Debug,
		unix.IFF_NOTRAILERS: f.NoTrailers,
		unix.IFF_DYNAMIC:    f.Dynamic,
		unix.IFF_PORTSEL:    f.PortSel,
		unix.IFF_AUTOMEDIA:  f.AutoMedia,
	} {
		info.Change |= bit
		if on {
			info.Flags |= bit
		}
	}
	return ns.newLink(info)
}

// SetUp sets the device up or down.
func (ns *Namespace) SetUp(index int, up bool) error {
	info := ifInfo(index)
	info.Change = unix.IFF_UP
	if up {
		info.Flags = unix.IFF_UP
	}
	err := ns.newLink(info)
	if is(err, unix.ENETDOWN) { // vlan_dev_open
		return fmt.Errorf("%w: %w", netmove.ErrLowerDown, err)
	}
	return err
}

// newLink sends one RTM_NEWLINK that changes an existing device.
func (ns *Namespace) newLink(info *nl.IfInfomsg, attrs ...*nl.RtAttr) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	req.AddData(info)
	for _, a := range attrs {
		req.AddData(a)
	}
	_, err := ns.exchange(req, 0)
	return classify(err)
}

// AddAltname gives the device one more name.
func (ns *Namespace) AddAltname(index int, name string) error {
	return ns.altname(unix.RTM_NEWLINKPROP, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_APPEND, index, name)
}

// DropAltname takes an altname away.
func (ns *Namespace) DropAltname(index int, name string) error {
	return ns.altname(unix.RTM_DELLINKPROP, 0, index, name)
}

func (ns *Namespace) altname(verb, flags, index int, name string) error {
	req := nl.NewNetlinkRequest(verb, unix.NLM_F_ACK|flags)
	req.AddData(ifInfo(index))
	props := nl.NewRtAttr(unix.IFLA_PROP_LIST|unix.NLA_F_NESTED, nil)
	props.AddRtAttr(unix.IFLA_ALT_IFNAME, nl.ZeroTerminated(name))
	req.AddData(props)
	_, err := ns.exchange(req, 0)
	return classify(err)
}

// classify adds the class of an error to what the kernel answered.
func classify(err error) error {
	switch {
	case is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", netmove.ErrNameTaken, err)
	case is(err, unix.ENODEV, unix.ENOENT):
		return fmt.Errorf("%w: %w", netmove.ErrNotFound, err)
	case is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", netmove.ErrBusy, err)
	}
	return err
}
