package kernel

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// tunFilePrefix begins the names of options of a tun or tap that only those can read and set
// that attach to it. The device keeps them when they leave.
const tunFilePrefix = "tunfile."

// tunSetting is such an option.
type tunSetting struct {
	name string
	get  func(tun int) (uint32, error)
	set  func(tun int, value uint32) error
}

const (
	tunFilter  = "filter"
	tunOffload = "offload"
)

// tunSettings are those settings. That of offloads comes last, as it is read by other means.
func (ns *Namespace) tunSettings() []tunSetting {
	return []tunSetting{
		{tunFilter, ns.filterSize, ns.dropFilter},
		{"vnet_hdr_sz", readTun(unix.TUNGETVNETHDRSZ), writeTun(unix.TUNSETVNETHDRSZ)},
		{"vnet_le", readTun(unix.TUNGETVNETLE), writeTun(unix.TUNSETVNETLE)},
		{"sndbuf", readTun(unix.TUNGETSNDBUF), writeTun(unix.TUNSETSNDBUF)},
		{tunOffload, nil, func(tun int, value uint32) error { return unix.IoctlSetInt(tun, unix.TUNSETOFFLOAD, int(value)) }},
	}
}

func readTun(request uint) func(int) (uint32, error) {
	return func(tun int) (uint32, error) { return unix.IoctlGetUint32(tun, request) }
}

func writeTun(request uint) func(int, uint32) error {
	return func(tun int, value uint32) error { return unix.IoctlSetPointerInt(tun, request, int(value)) }
}

// filterSize is how many instructions the filter has that whoever attaches gets; 0 for none.
// The kernel has no request for the filter itself.
func (ns *Namespace) filterSize(tun int) (uint32, error) {
	var filter unix.SockFprog
	err := ns.filterRequest(tun, unix.TUNGETFILTER, &filter)
	if is(err, unix.EINVAL) { // tun devices have none
		return 0, nil
	}
	return uint32(filter.Len), err
}

// dropFilter takes the filter away. TUNDETACHFILTER would keep its size, so it is exchanged
// for one that the kernel does not take: that leaves none.
func (ns *Namespace) dropFilter(tun int, size uint32) error {
	if size != 0 {
		return errors.New("the kernel has told the filter's size only")
	}
	err := ns.filterRequest(tun, unix.TUNATTACHFILTER, &unix.SockFprog{})
	if is(err, unix.EINVAL) {
		return nil
	}
	return err
}

func (ns *Namespace) filterRequest(tun int, request uint, filter *unix.SockFprog) error {
	defer ns.kernel.watch("asking a tap for its filter")()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(tun), uintptr(request), uintptr(unsafe.Pointer(filter))); errno != 0 {
		return errno
	}
	return nil
}

// tunFileOptions reads the settings of a device that no process is attached to, if they are
// asked for: the kernel lets one attach to a queue. The others have options that are unknown.
func (ns *Namespace) tunFileOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	if dev.Identity.Kind != "tun" {
		return nil, nil
	}
	values, err := map[string]uint32{}, error(nil)
	if dev.Parts.Has(netmove.PartTunFile) {
		values, err = ns.tunValues(dev.Identity.Index)
	}
	if err != nil {
		return nil, err
	}
	var list []netmove.Option
	for _, s := range ns.tunSettings() {
		value, ok := values[s.name]
		list = append(list, netmove.Option{Name: tunFilePrefix + s.name, Value: number(value), Unknown: !ok})
	}
	return list, nil
}

// tunValues attaches to the device and reads what can be read then.
func (ns *Namespace) tunValues(index int) (map[string]uint32, error) {
	offloads, err := ns.offloads(index)
	if err != nil {
		return nil, err
	}
	values := map[string]uint32{tunOffload: offloads}
	l, err := ns.linkByIndex(index)
	if err != nil || l.hasQueues() || l.Flags.Up && !ns.attachesQuietly() {
		return values, err
	}
	err = ns.attached(index, 0, 0, func(tun int) error {
		for _, s := range ns.tunSettings() {
			if s.get == nil {
				continue
			}
			value, err := s.get(tun)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			values[s.name] = value
		}
		return nil
	})
	switch {
	case is(err, unix.EBADFD):
		// With a filter that it attaches at once the kernel forgets to attach the process
		// itself (tun_attach).
		values[tunFilter] = ^uint32(0)
	case is(err, unix.EBUSY) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission):
		return values, nil // a process is attached, or this one may not
	case err != nil:
		return nil, err
	}
	return values, nil
}

// attachesQuietly reports whether a device that is up gets no carrier by somebody who attaches
// to it: Linux before 6.0 knows no IFF_NO_CARRIER.
func (ns *Namespace) attachesQuietly() bool {
	defer ns.kernel.watch("opening /dev/net/tun")()
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	features, err := unix.IoctlGetUint32(int(file.Fd()), unix.TUNGETFEATURES)
	return err == nil && features&unix.IFF_NO_CARRIER != 0
}

// hasQueues reports whether the kernel tells that processes are attached, of a device that
// lets several.
func (l *link) hasQueues() bool {
	return u32(l.tun.attribute(unix.IFLA_TUN_NUM_QUEUES))+u32(l.tun.attribute(unix.IFLA_TUN_NUM_DISABLED_QUEUES)) > 0
}

// offloads are the flags of TUNSETOFFLOAD for what the device leaves to whoever is attached.
func (ns *Namespace) offloads(index int) (flags uint32, err error) {
	features, err := ns.Features(index)
	for name, flag := range map[string]uint32{ // TUN_F_* of linux/if_tun.h
		"tx-checksum-ip-generic":  0x01,
		"tx-tcp-segmentation":     0x02,
		"tx-tcp6-segmentation":    0x04,
		"tx-tcp-ecn-segmentation": 0x08,
		"tx-udp-segmentation":     0x60,
	} {
		if features[name].On {
			flags |= flag
		}
	}
	return flags, err
}

// setTunFile sets an option by its name without the prefix.
func (ns *Namespace) setTunFile(index int, name string, value []byte) error {
	for _, s := range ns.tunSettings() {
		if s.name != name {
			continue
		}
		if name == tunFilter {
			return ns.withoutFilter(index, func(tun int) error { return s.set(tun, u32(value)) })
		}
		return ns.attached(index, 0, 0, func(tun int) error { return s.set(tun, u32(value)) })
	}
	return fmt.Errorf("no option %q", tunFilePrefix+name)
}

// withoutFilter attaches without the device's filter. IFF_NOFILTER has the number of
// IFF_NO_PI, which the device has then, too.
func (ns *Namespace) withoutFilter(index int, f func(tun int) error) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	had, err := ns.tunFlags(l.Name)
	if err != nil {
		return err
	}
	err = ns.attached(index, 0, unix.IFF_NO_PI, f)
	if had&unix.IFF_NO_PI == 0 {
		err = errors.Join(err, ns.attached(index, unix.IFF_NO_PI, 0, func(int) error { return nil }))
	}
	return err
}
