package kernel

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const pciDevices = "bus/pci/devices"

// Hardware reads where the device is in the machine and how fast it is. What cannot be read
// is not known: of a device that is down no speed is, and of a virtual one nothing.
func (ns *Namespace) Hardware(dev netmove.Snapshot) (h netmove.Hardware, err error) {
	dir, err := ns.sysfs.device(dev.Name)
	if err != nil {
		return h, err
	}
	defer dir.Close()
	if now, err := inode(dir); err != nil || now != dev.Identity.Inode {
		return h, netmove.ErrNotFound // another device has the name by now
	}
	if text, err := readAttribute(dir, "speed"); err == nil {
		speed, _ := strconv.Atoi(text)
		h.Speed = max(speed, 0) // -1 is unknown (ethtool_op_get_link_ksettings)
	}
	root, err := ns.sysfs.open()
	if err != nil {
		return h, err
	}
	if pci := dev.Identity.PCIAddress(); pci != "" {
		h.PCIeRoot = pcieRoot(root, pci)
		if text, err := ns.sysfs.read(path.Join(pciDevices, pci, "numa_node")); err == nil {
			if node, err := strconv.Atoi(text); err == nil && node >= 0 { // -1: none (NUMA_NO_NODE)
				h.NUMANode = &node
			}
		}
	}
	h.RDMA = rdmaOf(dir)
	return h, nil
}

// pcieRoot returns the first part of a PCI device's place below /sys/devices.
func pcieRoot(root int, pci string) string {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(root, path.Join(pciDevices, pci), buf[:])
	if err != nil {
		return ""
	}
	parts := strings.Split(string(buf[:n]), "/")
	if i := slices.Index(parts, "devices"); i >= 0 && i+1 < len(parts) && strings.HasPrefix(parts[i+1], "pci") {
		return parts[i+1]
	}
	return ""
}

// rdmaOf returns the name of the first RDMA device of the hardware.
func rdmaOf(dir *os.File) string {
	fd, err := unix.Openat(int(dir.Fd()), "device/infiniband", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	list := os.NewFile(uintptr(fd), "infiniband")
	defer list.Close()
	names, err := list.Readdirnames(-1)
	if err != nil || len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}
