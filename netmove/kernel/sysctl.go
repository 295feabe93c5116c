package kernel

import (
	"bytes"
	"errors"
	"fmt"
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
	known map[string][]sysctlFile

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

type sysctlFile struct {
	name  string // "ipv4/conf/arp_ignore"
	place place
}

// beginSysctls reads the device's sysctls that can be written, as its link tells them or
// from their files. wait waits for them.
func (ns *Namespace) beginSysctls(l link) (wait func() (map[string]string, error)) {
	const most = 150
	values := make(map[string]string, most)
	if !hasSysctls(l.Name) {
		return func() (map[string]string, error) { return values, nil }
	}
	done := ns.begin(func() error {
		for _, folder := range sysctlFolders() {
			if err := ns.readSysctls(values, folder, l); err != nil {
				return err
			}
		}
		return nil
	})
	return func() (map[string]string, error) {
		if err := done(); err != nil {
			return nil, err
		}
		return ns.sysctlFiles.share(values), nil
	}
}

// hasSysctls reports whether the folder of that name is the device's: these
// two are the namespace's own.
func hasSysctls(device string) bool { return device != "all" && device != "default" }

// readSysctls reads the sysctls of one folder, which is not there where the
// protocol is not.
func (ns *Namespace) readSysctls(values map[string]string, folder string, l link) error {
	fd, err := unix.Open(path.Join(sysctlRoot, folder, l.Name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sysctls: %w", err)
	}
	dir := os.NewFile(uintptr(fd), folder)
	defer dir.Close()
	files, err := ns.sysctlFiles.of(folder, fd)
	if err != nil {
		return fmt.Errorf("sysctls: %w", err)
	}
	for _, file := range files {
		value, ok := l.conf.value(file.place)
		if !ok {
			value, ok, err = readSysctl(fd, path.Base(file.name))
		}
		if err != nil {
			return fmt.Errorf("sysctl %s of %s: %w", file.name, l.Name, err)
		}
		if ok {
			values[file.name] = value
		}
	}
	return nil
}

// of lists the folder, or remembers it.
func (s *sysctlFiles) of(folder string, dir int) ([]sysctlFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if files, ok := s.known[folder]; ok {
		return files, nil
	}
	list, err := os.ReadDir(fmt.Sprintf("/proc/thread-self/fd/%d", dir))
	if err != nil {
		return nil, err
	}
	files := []sysctlFile{}
	for _, f := range list {
		if name := f.Name(); !skippedSysctl(name) && writable(dir, name) {
			files = append(files, sysctlFile{folder + "/" + name, placeOf(folder, name)})
		}
	}
	if s.known == nil {
		s.known = map[string][]sysctlFile{}
	}
	s.known[folder] = files
	return files, nil
}

func writable(dir int, file string) bool {
	fd, err := unix.Openat(dir, file, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Close(fd)
	}
	return err == nil
}

// readSysctl reads one. Those that have no value (EIO of stable_secret) cannot be put
// back.
func readSysctl(dir int, file string) (value string, ok bool, err error) {
	fd, err := unix.Openat(dir, file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if is(err, unix.ENOENT) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	var buf [256]byte
	n, err := unix.Read(fd, buf[:])
	err = errors.Join(err, unix.Close(fd))
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
