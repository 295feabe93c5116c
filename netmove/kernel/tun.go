package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// nobody is an owner or a group that is not set, as the kernel has it.
const nobody = ^uint32(0)

// setTun sets by an ioctl who may attach to a persistent tun or tap device. Only who is
// attached can do that.
func (ns *Namespace) setTun(index int, ioctl uint, value []byte) error {
	if u32(value) == nobody {
		return errors.New("the kernel cannot take it away again")
	}
	return ns.attached(index, func(tun int) error { return unix.IoctlSetInt(tun, ioctl, int(u32(value))) })
}

// attached calls f with a descriptor that is attached to the device.
func (ns *Namespace) attached(index int, f func(tun int) error) error {
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
	request.SetUint16(flags)
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
