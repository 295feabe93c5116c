package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// receivePrefix begins the name of the option for how a NIC spreads what it receives over its
// queues: hash function, table of queues, key. Before Linux 6.17 it is set by ethtool's
// ioctl alone.
const receivePrefix = "receive."

// hashOption is what follows the prefix. Its value is struct ethtool_rxfh (linux/ethtool.h)
// from the sizes on.
const hashOption = "hash"

// Offsets in struct ethtool_rxfh, and its size.
const rxfhTableSize, rxfhKeySize, sizeofRxfh = 8, 12, 24

// receiveOptions reads it. That takes the kernel's lock of network devices, so a kind of
// virtual device is asked once whether it has one.
func (ns *Namespace) receiveOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	if ns.ethtool.lacks(dev.Identity.Kind, receivePrefix) {
		return nil, nil
	}
	value, err := ns.receiveHash(dev.Name)
	if is(err, unix.EOPNOTSUPP, unix.EINVAL) {
		ns.ethtool.note(dev.Identity.Kind, receivePrefix)
		return nil, nil
	}
	if err != nil { // a physical function may keep it from its virtual ones, say
		return []netmove.Option{{Name: receivePrefix + hashOption, Unknown: true}}, notThere(err)
	}
	return []netmove.Option{{Name: receivePrefix + hashOption, Value: value}}, nil
}

func (ns *Namespace) receiveHash(device string) ([]byte, error) {
	const number = 4 // the size of one in the table
	sizes := make([]byte, sizeofRxfh)
	if err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRSSH, sizes); err != nil {
		return nil, err
	}
	whole := make([]byte, sizeofRxfh+number*int(u32(sizes[rxfhTableSize:]))+int(u32(sizes[rxfhKeySize:])))
	copy(whole[rxfhTableSize:], sizes[rxfhTableSize:rxfhKeySize+number])
	err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRSSH, whole)
	return whole[rxfhTableSize:], err
}

// setReceive sets it by its name without the prefix. The table is set only if it is not the one
// that the kernel makes by default: one that somebody has set forbids fewer channels
// (IFF_RXFH_CONFIGURED).
func (ns *Namespace) setReceive(index int, name string, value []byte) error {
	if name != hashOption || len(value) < sizeofRxfh-rxfhTableSize {
		return fmt.Errorf("no option %q", receivePrefix+name)
	}
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	whole := slices.Concat(make([]byte, rxfhTableSize), value)
	if ns.ethtoolIoctl(l.Name, unix.ETHTOOL_SRSSH, withoutTable(whole)) == nil {
		if has, err := ns.receiveHash(l.Name); err == nil && bytes.Equal(has, value) {
			return nil
		}
	}
	return classify(ns.ethtoolIoctl(l.Name, unix.ETHTOOL_SRSSH, whole))
}

// withoutTable is the request with function and key alone, for which the kernel makes the table
// by default (ethtool_set_rxfh).
func withoutTable(whole []byte) []byte {
	const number = 4
	table := number * int(u32(whole[rxfhTableSize:]))
	if sizeofRxfh+table > len(whole) {
		return slices.Clone(whole)
	}
	without := slices.Concat(whole[:sizeofRxfh], whole[sizeofRxfh+table:])
	binary.NativeEndian.PutUint32(without[rxfhTableSize:], 0)
	return without
}

// ethtoolIoctl sends a request of ethtool's, and takes the answer in its place.
func (ns *Namespace) ethtoolIoctl(device string, command uint32, data []byte) error {
	binary.NativeEndian.PutUint32(data, command)
	return ns.deviceIoctl(device, unix.SIOCETHTOOL, data)
}

// deviceIoctl sends a request about the device with that name, and takes the answer in its
// place. Any socket will do: the kernel asks it for its network namespace (sock_ioctl).
func (ns *Namespace) deviceIoctl(device string, request uintptr, data []byte) error {
	defer ns.kernel.watch("an ioctl of a device")()
	ifreq := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&data[0])}
	copy(ifreq.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(ns.sock.Socket.GetFd()), request, uintptr(unsafe.Pointer(&ifreq)))
	if errno != 0 {
		return errno
	}
	return nil
}
