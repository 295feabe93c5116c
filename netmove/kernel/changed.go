package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// WhenChanged calls changed each time a device of the namespace or an address may have changed,
// until stop is called. It does not read what the kernel tells of the change: a pod can make
// that as long, and as much, as it likes.
func (ns *Namespace) WhenChanged(changed func()) (stop func(), err error) {
	var fd int
	if err := ns.do(func() (err error) {
		fd, err = openChanges()
		return err
	}); err != nil {
		return nil, fmt.Errorf("watch devices and addresses: %w", err)
	}
	f := os.NewFile(uintptr(fd), "rtnetlink") // which Go polls, since it does not block
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("watch devices and addresses: %w", err)
	}
	go func() {
		for raw.Read(takeChange) == nil {
			changed()
		}
	}()
	return sync.OnceFunc(func() { f.Close() }), nil
}

// openChanges opens a socket in the network namespace of the calling thread, to which the
// kernel sends every change of a device or an address.
func openChanges() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, err
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// takeChange takes one message off the socket, or the error that some were lost (ENOBUFS). It
// does not wait, and what does not fit is gone.
func takeChange(fd uintptr) bool {
	var begin [1]byte
	_, err := unix.Read(int(fd), begin[:])
	return !is(err, unix.EAGAIN, unix.EINTR)
}
