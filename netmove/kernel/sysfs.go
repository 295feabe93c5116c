package kernel

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// sysfs is a mount of sysfs that shows the devices of one network namespace.
// It is attached to no mount table, so nobody else sees it, and what is
// mounted on /sys in the plugin's container does not matter. It is opened when it is
// needed: a pod's when the first device is looked for there.
type sysfs struct {
	mu   sync.Mutex
	root *os.File
	do   func(func() error) error // calls on a thread in the namespace
}

// open opens it, if it is not open yet.
func (s *sysfs) open() (root int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.root == nil {
		err = s.do(func() (err error) {
			s.root, err = openSysfs(unix.MOUNT_ATTR_RDONLY)
			return err
		})
	}
	if err != nil {
		return -1, err
	}
	return int(s.root.Fd()), nil
}

// openSysfs makes a sysfs of the calling thread's network namespace, mounted with these
// attributes.
func openSysfs(attributes int) (*os.File, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen sysfs: %w", err)
	}
	defer os.NewFile(uintptr(fs), "fsopen").Close()
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("fsconfig sysfs: %w", err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return nil, fmt.Errorf("fsmount sysfs: %w", err)
	}
	return os.NewFile(uintptr(mnt), "sysfs"), nil
}

func (s *sysfs) close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// device opens the folder of the device with that name. The descriptor means
// that device whatever it is called afterwards.
func (s *sysfs) device(name string) (*os.File, error) {
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	return deviceIn(root, name)
}

// deviceIn opens the folder of the device with that name below a mount of sysfs.
func deviceIn(root int, name string) (*os.File, error) {
	p := path.Join(allDevices, name)
	fd, err := unix.Openat(root, p, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("device %q: %w", name, netmove.ErrNotFound)
	}
	if errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("device %q: %w", name, errNoDevice)
	}
	if err != nil {
		return nil, fmt.Errorf("sysfs folder of %q: %w", name, err)
	}
	return os.NewFile(uintptr(fd), p), nil
}

// errNoDevice means that the name is that of a file among the devices' folders:
// drivers have files there, such as bonding_masters.
var errNoDevice = errors.New("no device")

// allDevices is the folder of every device of the namespace.
const allDevices = "class/net"

// devicesOf is the folder of the devices of one piece of hardware, as far as
// they are in the namespace.
func devicesOf(bus, parent string) string { return path.Join("bus", bus, "devices", parent, "net") }

// names lists the devices of the namespace in a folder, which need not exist.
func (s *sysfs) names(folder string) ([]string, error) {
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(root, folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list devices in sysfs: %w", err)
	}
	dir := os.NewFile(uintptr(fd), folder)
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// inode is the inode of the device's folder.
func inode(dir *os.File) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return 0, fmt.Errorf("fstat %s: %w", dir.Name(), err)
	}
	return st.Ino, nil
}

// ifindex reads the index of the device that dir belongs to.
func ifindex(dir *os.File) (int, error) {
	text, err := readAttribute(dir, "ifindex")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// readAttribute reads one of the device's files. It is there as long as the device.
func readAttribute(dir *os.File, name string) (string, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if is(err, unix.ENOENT, unix.ENODEV) {
		return "", errRaced
	}
	if err != nil {
		return "", fmt.Errorf("%s/%s: %w", dir.Name(), name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var buf [16]byte
	n, err := f.Read(buf[:])
	if err != nil {
		return "", fmt.Errorf("%s/%s: %w", dir.Name(), name, err)
	}
	return strings.TrimSpace(string(buf[:n])), nil
}

// pciSlot is the PCI address of the device above the parent's, "" if that is none of PCI.
func pciSlot(dir *os.File) string {
	fd, err := unix.Openat(int(dir.Fd()), "device/../uevent", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), "uevent")
	defer f.Close()
	var buf [4096]byte
	n, err := f.Read(buf[:])
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(buf[:n])) {
		if slot, ok := strings.CutPrefix(line, "PCI_SLOT_NAME="); ok {
			return strings.TrimSpace(slot)
		}
	}
	return ""
}

// driver is the name of the driver bound to the device's parent, "" for a
// device without one.
func driver(dir *os.File) string {
	var buf [256]byte
	n, err := unix.Readlinkat(int(dir.Fd()), "device/driver", buf[:])
	if err != nil {
		return ""
	}
	return path.Base(string(buf[:n]))
}

// uppers lists the devices of the same namespace that are built on the one
// that dir belongs to: its bridge or bond, and VLANs and macvlans on it.
func uppers(dir *os.File) ([]string, error) { return adjacent(dir, "upper_") }

// adjacent lists the devices that links in the folder lead to, by what the links' names
// begin with.
func adjacent(dir *os.File, prefix string) ([]string, error) {
	fd, err := unix.Openat(int(dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Name(), err)
	}
	list := os.NewFile(uintptr(fd), dir.Name())
	defer list.Close()
	entries, err := list.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Name(), err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e, prefix); ok {
			names = append(names, name)
		}
	}
	return names, nil
}
