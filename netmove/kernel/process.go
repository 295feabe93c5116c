package kernel

import (
	"fmt"
	"os"
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
