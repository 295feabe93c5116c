package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// nobody is an owner or a group that is not set, as the kernel has it.
const nobody = ^uint32(0)

// tunOwner sets by an ioctl who may attach to a persistent tun or tap device.
func tunOwner(ioctl uint) func(*Namespace, int, []byte) error {
	return func(ns *Namespace, index int, value []byte) error {
		if u32(value) == nobody {
			return errors.New("the kernel cannot take it away again")
		}
		return ns.attached(index, 0, 0, func(tun int) error { return unix.IoctlSetInt(tun, ioctl, int(u32(value))) })
	}
}

// tunFlag sets a flag, or clears one, of what has a value. The device has those that were
// named by who attached last.
func tunFlag(off, on uint16) func(*Namespace, int, []byte) error {
	return func(ns *Namespace, index int, value []byte) error {
		without, with := on, off
		if len(value) == 1 && value[0] != 0 {
			without, with = off, on
		}
		return ns.attached(index, without, with, func(int) error { return nil })
	}
}

// setLinkType gives a tun or tap device that is down another link type (ARPHRD_*).
func (ns *Namespace) setLinkType(index int, value []byte) error {
	return ns.attached(index, 0, 0, func(tun int) error {
		return classify(unix.IoctlSetInt(tun, unix.TUNSETLINK, int(u32(value)))) // EBUSY if it is up
	})
}

// attached calls f with a descriptor that is attached to the device, with flags of it
// changed. The device gets no carrier by that, since Linux 6.0.
func (ns *Namespace) attached(index int, without, with uint16, f func(tun int) error) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	flags, err := ns.tunFlags(l.Name)
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq(l.Name)
	if err != nil {
		return err
	}
	request.SetUint16(flags&^without | with | unix.IFF_NO_CARRIER)
	return ns.do(func() (err error) { // of the namespace that the file is opened in
		file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if err := unix.IoctlIfreq(int(file.Fd()), unix.TUNSETIFF, request); err != nil {
			return fmt.Errorf("attach to %q: %w", l.Name, err)
		}
		return f(int(file.Fd()))
	})
}

// tunFlags are the flags that one must name to attach: they are set anew by that.
func (ns *Namespace) tunFlags(device string) (uint16, error) {
	const napi, napiFrags = 0x10, 0x20 // IFF_NAPI, IFF_NAPI_FRAGS of linux/if_tun.h
	const settable = unix.IFF_TUN | unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE | napi | napiFrags
	dir, err := ns.sysfs.device(device)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	text, err := readAttribute(dir, "tun_flags")
	if err != nil {
		return 0, err
	}
	flags, err := strconv.ParseUint(text, 0, 32)
	return uint16(flags & settable), err
}

// tunQueues reads the queues of a tun or tap device that processes hold.
func (ns *Namespace) tunQueues(l link) (list []netmove.Program, err error) {
	if l.Identity.Kind != "tun" {
		return nil, nil
	}
	n := u32(l.tun.attribute(unix.IFLA_TUN_NUM_QUEUES)) + u32(l.tun.attribute(unix.IFLA_TUN_NUM_DISABLED_QUEUES))
	if l.tun.attribute(unix.IFLA_TUN_NUM_QUEUES) == nil {
		held, err := ns.queueHeld(l)
		if err != nil {
			return nil, fmt.Errorf("queue of %q: %w", l.Name, err)
		}
		if held {
			n = 1
		}
	}
	for id := range n {
		list = append(list, netmove.Program{Hook: netmove.TunQueue, ID: id + 1})
	}
	return list, nil
}

// queueHeld reports whether a process holds the only queue. Linux before 6.9 does not tell
// that, and asking for it may disturb the process.
func (ns *Namespace) queueHeld(l link) (bool, error) {
	n, told, err := ns.tunChannels(l.Identity.Index)
	if told || err != nil || !l.Parts.Has(netmove.PartTunFile) {
		return n > 0, err
	}
	return ns.takesCarrier(l)
}

// tunChannels is how many queues processes hold, as the driver tells ethtool (tun_get_channels).
func (ns *Namespace) tunChannels(index int) (n uint32, told bool, err error) {
	if family, err := ns.ethtool.family(ns); family == 0 || err != nil {
		return 0, false, err
	}
	msg, err := ns.ethtoolGet(unix.ETHTOOL_MSG_CHANNELS_GET, index)
	if is(err, unix.EOPNOTSUPP) {
		return 0, false, nil
	}
	count := msg.attribute(unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT)
	return u32(count), count != nil, err
}

// takesCarrier reports whether the device can be given a carrier, which it can be if a process
// holds a queue (EPERM of tun_net_change_carrier). It may have one nevertheless: a filter of the
// device keeps a process from its queue, and not from the carrier (tun_attach). A process that
// has switched the carrier off has it on for a moment.
func (ns *Namespace) takesCarrier(l link) (bool, error) {
	err := ns.setCarrier(l.Identity.Index, []byte{1})
	if is(err, unix.EPERM) {
		return false, nil
	}
	if err != nil || len(l.carrier) == 1 && l.carrier[0] != 0 {
		return err == nil, err
	}
	return true, ns.setCarrier(l.Identity.Index, []byte{0})
}
