package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// sysctlRoot shows the namespace of the thread that looks (proc_sys_lookup,
// net_ctl_root), so every look is one of Namespace.do.
const sysctlRoot = "/proc/sys/net"

// sysctlFolders are those that have a folder for each device.
func sysctlFolders() []string {
	return []string{"ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh", "mpls/conf"}
}

// skippedSysctl tells those that say the same as another in another unit, or
// the same as an option.
func skippedSysctl(file string) bool {
	return file == "base_reachable_time" || file == "retrans_time" || file == "addr_gen_mode"
}

// sysctls reads the device's sysctls that can be written.
func (ns *Namespace) sysctls(device string) (map[string]string, error) {
	values := map[string]string{}
	if !hasSysctls(device) {
		return values, nil
	}
	err := ns.do(func() error {
		for _, folder := range sysctlFolders() {
			if err := readSysctls(values, folder, device); err != nil {
				return err
			}
		}
		return nil
	})
	return values, err
}

// hasSysctls reports whether the folder of that name is the device's: these
// two are the namespace's own.
func hasSysctls(device string) bool { return device != "all" && device != "default" }

// readSysctls reads the files of one folder, which is not there where the
// protocol is not.
func readSysctls(values map[string]string, folder, device string) error {
	dir, err := os.Open(path.Join(sysctlRoot, folder, device))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sysctls: %w", err)
	}
	defer dir.Close()
	files, err := dir.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("sysctls: %w", err)
	}
	for _, f := range files {
		if skippedSysctl(f.Name()) {
			continue
		}
		value, ok, err := readSysctl(int(dir.Fd()), f.Name())
		if err != nil {
			return fmt.Errorf("sysctl %s/%s/%s: %w", folder, device, f.Name(), err)
		}
		if ok {
			values[folder+"/"+f.Name()] = value
		}
	}
	return nil
}

// readSysctl reads one. Those that cannot be written are not asked for, and
// those that have no value (EIO of stable_secret) cannot be put back.
func readSysctl(dir int, file string) (value string, ok bool, err error) {
	fd, err := unix.Openat(dir, file, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if is(err, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOENT) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	f := os.NewFile(uintptr(fd), file)
	defer f.Close()
	var buf [256]byte
	n, err := unix.Read(fd, buf[:])
	if is(err, unix.EIO) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return string(bytes.TrimSpace(buf[:n])), true, nil
}

// SetSysctl writes one of the device's sysctls.
func (ns *Namespace) SetSysctl(index int, name, value string) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	folder, file := path.Split(name)
	if !hasSysctls(l.Name) || strings.Contains(name, "..") {
		return fmt.Errorf("sysctl %s: %w", name, netmove.ErrNotFound)
	}
	return ns.do(func() error {
		return os.WriteFile(path.Join(sysctlRoot, folder, l.Name, file), []byte(value), 0)
	})
}
