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

// receivePrefix begins the names of options about how a NIC spreads what it receives over
// its queues, for which there is ethtool's ioctl alone (linux/ethtool.h).
const receivePrefix = "receive."

const (
	hashOption  = "hash"  // struct ethtool_rxfh from indir_size on: hash function, table of queues, key
	rulesOption = "rules" // struct ethtool_rx_flow_spec of each rule, by location
)

// Offsets in struct ethtool_rxfh and in struct ethtool_rxnfc, and sizes.
const (
	rxfhSizes, rxfhKeySize, sizeofRxfh = 8, 12, 24
	rxnfcSpec, rxnfcCount, rxnfcLocs   = 16, 184, 188
	sizeofRxnfc, sizeofSpec            = 192, 168
	specLocation                       = 160
)

// receiveOptions reads both. Each takes the kernel's lock of network devices, so a kind of
// virtual device is asked once whether it has them.
func (ns *Namespace) receiveOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	var l link
	for name, read := range map[string]func(string) ([]byte, error){hashOption: ns.receiveHash, rulesOption: ns.receiveRules} {
		if ns.ethtool.lacks(dev.Identity.Kind, receivePrefix+name) {
			continue
		}
		value, err := read(dev.Name)
		if is(err, unix.EOPNOTSUPP, unix.EINVAL) {
			ns.ethtool.note(dev.Identity.Kind, receivePrefix+name)
			continue
		}
		if err != nil {
			return l.Options, fmt.Errorf("what %q does with what it receives (%s): %w", dev.Name, name, classify(err))
		}
		l.addOption(receivePrefix+name, value)
	}
	slices.SortFunc(l.Options, func(a, b netmove.Option) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return l.Options, nil
}

// setReceive sets one by its name without the prefix.
func (ns *Namespace) setReceive(index int, name string, value []byte) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	switch {
	case name == hashOption && len(value) >= sizeofRxfh-rxfhSizes:
		return classify(ns.ethtoolIoctl(l.Name, unix.ETHTOOL_SRSSH, slices.Concat(make([]byte, rxfhSizes), value)))
	case name == rulesOption && len(value)%sizeofSpec == 0:
		return classify(ns.setRules(l.Name, slices.Collect(slices.Chunk(value, sizeofSpec))))
	}
	return fmt.Errorf("no option %q", receivePrefix+name)
}

func (ns *Namespace) receiveHash(device string) ([]byte, error) {
	head := make([]byte, sizeofRxfh)
	if err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRSSH, head); err != nil {
		return nil, err
	}
	const number = 4
	size := number*int(u32(head[rxfhSizes:])) + int(u32(head[rxfhKeySize:]))
	whole := make([]byte, sizeofRxfh+size)
	copy(whole[rxfhSizes:], head[rxfhSizes:rxfhSizes+2*number])
	err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRSSH, whole)
	return whole[rxfhSizes:], err
}

func (ns *Namespace) receiveRules(device string) ([]byte, error) {
	head := make([]byte, sizeofRxnfc)
	if err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRXCLSRLCNT, head); err != nil {
		return nil, err
	}
	const number = 4
	count := int(u32(head[rxnfcCount:]))
	if count == 0 {
		return nil, nil
	}
	all := make([]byte, sizeofRxnfc+number*count)
	copy(all[rxnfcCount:], head[rxnfcCount:rxnfcLocs])
	if err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRXCLSRLALL, all); err != nil {
		return nil, err
	}
	var rules []byte
	for i := range min(count, int(u32(all[rxnfcCount:]))) {
		rule := make([]byte, sizeofRxnfc)
		copy(rule[rxnfcSpec+specLocation:], all[rxnfcLocs+number*i:][:number])
		if err := ns.ethtoolIoctl(device, unix.ETHTOOL_GRXCLSRULE, rule); err != nil {
			return nil, err
		}
		rules = append(rules, rule[rxnfcSpec:rxnfcSpec+sizeofSpec]...)
	}
	return rules, nil
}

// setRules removes the rules that are not to be there, and makes those that are missing.
func (ns *Namespace) setRules(device string, want [][]byte) error {
	now, err := ns.receiveRules(device)
	if err != nil {
		return err
	}
	has := slices.Collect(slices.Chunk(now, sizeofSpec))
	change := func(command uint32, list, but [][]byte) error {
		for _, spec := range list {
			if slices.ContainsFunc(but, func(other []byte) bool { return bytes.Equal(spec, other) }) {
				continue
			}
			rule := slices.Concat(make([]byte, rxnfcSpec), spec, make([]byte, sizeofRxnfc-rxnfcSpec-sizeofSpec))
			if err := ns.ethtoolIoctl(device, command, rule); err != nil {
				return err
			}
		}
		return nil
	}
	if err := change(unix.ETHTOOL_SRXCLSRLDEL, has, want); err != nil {
		return err
	}
	return change(unix.ETHTOOL_SRXCLSRLINS, want, has)
}

// ethtoolIoctl sends a request of ethtool's, and takes the answer in its place. Any socket
// will do: the kernel asks it for its network namespace (sock_ioctl).
func (ns *Namespace) ethtoolIoctl(device string, command uint32, data []byte) error {
	defer ns.kernel.watch("an ethtool request")()
	binary.NativeEndian.PutUint32(data, command)
	request := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&data[0])}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(ns.sock.Socket.GetFd()), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}
