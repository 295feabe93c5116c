package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// WhenEnded calls ended when the process has ended, unless stop is called
// first. It is about the process that has the pid now (pidfd_open(2)).
func (Linux) WhenEnded(pid int, ended func()) (stop func(), err error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if is(err, unix.ESRCH) {
		return nil, fmt.Errorf("process %d: %w", pid, netmove.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pidfd") // which Go polls, since it does not block
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("pidfd: %w", err)
	}
	go func() {
		if raw.Read(hasEnded) == nil {
			ended()
		}
	}()
	return sync.OnceFunc(func() { f.Close() }), nil
}

// hasEnded asks a pidfd, which is readable when its process has ended.
func hasEnded(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n == 1 && err == nil
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
