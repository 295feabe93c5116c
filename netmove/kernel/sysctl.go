package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"
	"sync"

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

// sysctlFiles are the sysctls that can be written, by folder. They are the same for every
// device: a folder is listed once. The zero value is ready.
type sysctlFiles struct {
	mu    sync.Mutex
	known map[string][]string

	last map[string]string // what was read last
}

// share returns what was read last in the place of values that are the same: most
// devices of a node have the same sysctls, and are remembered as long as pods have them.
func (s *sysctlFiles) share(values map[string]string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !maps.Equal(s.last, values) {
		s.last = values
	}
	return s.last
}

// sysctls reads the device's sysctls that can be written.
func (ns *Namespace) sysctls(l link) (values map[string]string, err error) {
	const most = 150
	values = make(map[string]string, most)
	if !hasSysctls(l.Name) {
		return values, nil
	}
	err = ns.do(func() error {
		for _, folder := range sysctlFolders() {
			if err := ns.readSysctls(values, folder, l.Name); err != nil {
				return err
			}
		}
		return nil
	})
	return ns.sysctlFiles.share(values), err
}

// hasSysctls reports whether the folder of that name is the device's: these
// two are the namespace's own.
func hasSysctls(device string) bool { return device != "all" && device != "default" }

// readSysctls reads the sysctls of one folder, which is not there where the
// protocol is not.
func (ns *Namespace) readSysctls(values map[string]string, folder, device string) error {
	dir, err := unix.Open(path.Join(sysctlRoot, folder, device), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sysctls: %w", err)
	}
	defer os.NewFile(uintptr(dir), folder).Close()
	files, known := ns.sysctlFiles.of(folder)
	if !known {
		if files, err = ns.sysctlFiles.list(folder, dir); err != nil {
			return fmt.Errorf("sysctls: %w", err)
		}
	}
	for _, file := range files {
		value, ok, err := readValue(dir, path.Base(file))
		if err != nil {
			return fmt.Errorf("sysctl %s of %s: %w", file, device, err)
		}
		if ok {
			values[file] = value
		}
	}
	return nil
}

// of remembers what the folder has.
func (s *sysctlFiles) of(folder string) (files []string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, known = s.known[folder]
	return files, known
}

// list lists the folder.
func (s *sysctlFiles) list(folder string, dir int) ([]string, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/thread-self/fd/%d", dir))
	if is(err, unix.ENOENT) {
		return nil, errRaced
	}
	if err != nil {
		return nil, err
	}
	files := []string{}
	for _, f := range entries {
		name := f.Name()
		if skippedSysctl(name) {
			continue
		}
		can, err := writable(dir, name)
		if err != nil {
			return nil, err
		}
		if can {
			files = append(files, folder+"/"+name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string][]string{}
	}
	s.known[folder] = files
	return files, nil
}

// writable reports whether the sysctl can be written. That is remembered, so a file that has
// gone with its device's name is no answer.
func writable(dir int, file string) (bool, error) {
	fd, err := unix.Openat(dir, file, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return true, unix.Close(fd)
	case is(err, unix.EACCES, unix.EPERM, unix.EROFS):
		return false, nil
	case is(err, unix.ENOENT):
		return false, errRaced
	}
	return false, err
}

// readValue reads a file that is one value. Some have none, or none now (EIO of
// stable_secret, EINVAL and EOPNOTSUPP of files in sysfs), and cannot be put back.
func readValue(dir int, file string) (value string, ok bool, err error) {
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if is(err, unix.ENOENT) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	var buf [4096]byte // a mask of all CPUs that there can be
	n, err := unix.Read(fd, buf[:])
	err = errors.Join(err, unix.Close(fd))
	if is(err, unix.EIO, unix.ENOENT, unix.EINVAL, unix.EOPNOTSUPP) {
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

// HasIPv6 reports whether a device that arrives can have IPv6 addresses: it begins with the
// settings of "default" (ipv6_add_dev), which a kernel without IPv6 has not.
func (ns *Namespace) HasIPv6() (has bool, err error) {
	err = ns.do(func() error {
		text, err := os.ReadFile(path.Join(sysctlRoot, "ipv6/conf/default/disable_ipv6"))
		has = string(bytes.TrimSpace(text)) == "0"
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return has, err
}
