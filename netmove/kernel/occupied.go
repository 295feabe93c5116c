package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// InodeAt reads the inode number of the namespace at path.
func (k Linux) InodeAt(path string) (uint64, error) {
	defer k.watch("looking at a network namespace")()
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if is(err, unix.ENOENT, unix.ENOTDIR) {
		return 0, fmt.Errorf("network namespace %s: %w", path, netmove.ErrNotFound)
	}
	if err != nil {
		return 0, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return st.Ino, nil
}

// Occupied looks at the network namespace of every process that /proc shows,
// which are all of the node's in the host's pid namespace.
func (k Linux) Occupied(inode uint64) (bool, error) {
	defer k.watch("looking for processes in a network namespace")()
	proc, err := os.Open("/proc")
	if err != nil {
		return false, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return false, err
	}
	var unknown []error
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		in, err := inhabits(pid, inode)
		if in {
			return true, nil
		}
		unknown = append(unknown, err)
	}
	return false, errors.Join(unknown...)
}

// Inhabits looks at the network namespace of one process, which is that of its
// main thread. A process that has ended is in none.
func (k Linux) Inhabits(pid int, inode uint64) (bool, error) {
	defer k.watch("looking for a process in a network namespace")()
	return inhabits(pid, inode)
}

func inhabits(pid int, inode uint64) (bool, error) {
	var st unix.Stat_t
	err := unix.Stat(filepath.Join("/proc", strconv.Itoa(pid), "ns/net"), &st)
	switch {
	case err == nil:
		return st.Ino == inode, nil
	case is(err, unix.ENOENT, unix.ESRCH):
		return false, nil
	case pid == 1 && is(err, unix.EACCES):
		// A process with more capabilities than ours does not show its
		// namespaces (ptrace(2)). Of pid 1 it is known: it is the host.
		return false, nil
	}
	return false, fmt.Errorf("network namespace of process %d: %w", pid, err)
}
