package kernel

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What the library lacks of rdma/rdma_netlink.h.
const (
	rdmaPortGet   = 5  // RDMA_NLDEV_CMD_PORT_GET
	rdmaNdevIndex = 50 // RDMA_NLDEV_ATTR_NDEV_INDEX
)

// rdmaDevices is the folder of the RDMA devices of the namespace.
const rdmaDevices = "class/infiniband"

// softRDMA tells of the RDMA devices that somebody has made on the device, which the kernel
// deletes when that leaves (rxe_notify, siw_netdev_event). Those of hardware stay.
func (ns *Namespace) softRDMA(dev netmove.Snapshot) (list []string, err error) {
	names, err := ns.sysfs.names(rdmaDevices)
	if len(names) == 0 || err != nil {
		return nil, err
	}
	err = ns.dumping(unix.NETLINK_RDMA, func(d dumper) (err error) {
		list, err = d.softRDMA(dev.Identity.Index)
		return err
	})
	return list, err
}

func (d dumper) softRDMA(on int) (list []string, err error) {
	devices, err := d.rdma(nl.RDMA_NLDEV_CMD_GET, nil)
	if err != nil {
		return nil, err
	}
	for _, msg := range devices {
		name := text(msg, nl.RDMA_NLDEV_ATTR_DEV_NAME)
		kind := d.ns.softKind(name)
		if kind == "" {
			continue
		}
		index := nl.NewRtAttr(nl.RDMA_NLDEV_ATTR_DEV_INDEX, msg.attribute(nl.RDMA_NLDEV_ATTR_DEV_INDEX))
		ports, err := d.rdma(rdmaPortGet, index.Serialize())
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(ports, func(p message) bool { return u32(p.attribute(rdmaNdevIndex)) == uint32(on) }) {
			list = append(list, fmt.Sprintf("%s, of kind %q, is made on it", name, kind))
		}
	}
	return list, nil
}

// rdma dumps devices, or the ports of one.
func (d dumper) rdma(command int, payload []byte) (list []message, err error) {
	msgs, err := d.dump(nl.RDMA_NL_NLDEV<<nl.RDMA_NL_GET_CLIENT_SHIFT|command, payload)
	if err != nil {
		return nil, fmt.Errorf("RDMA devices: %w", err)
	}
	for _, m := range msgs {
		msg, err := parseMessage(m, 0)
		if err != nil {
			return nil, err
		}
		list = append(list, msg)
	}
	return list, nil
}

// softKind is the kind of an RDMA device that is no hardware, by what its driver has in
// sysfs: netlink does not tell it.
func (ns *Namespace) softKind(name string) string {
	folder := path.Join(rdmaDevices, name)
	if _, err := ns.sysfs.read(path.Join(folder, "parent")); err == nil {
		return "rxe"
	}
	if desc, err := ns.sysfs.read(path.Join(folder, "node_desc")); err == nil && strings.HasPrefix(desc, "Software iWARP") {
		return "siw"
	}
	return ""
}

// read reads a small file of sysfs.
func (s *sysfs) read(file string) (string, error) {
	root, err := s.open()
	if err != nil {
		return "", err
	}
	fd, err := unix.Openat(root, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	f := os.NewFile(uintptr(fd), file)
	defer f.Close()
	buf := make([]byte, 4096)
	n, err := f.Read(buf)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return strings.TrimSpace(string(buf[:n])), nil
}
