package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ErrTooOld is returned on kernels that lack what the program cannot do without.
var ErrTooOld = errors.New("Linux 5.14 or newer is needed (SO_NETNS_COOKIE)")

// Linux is the running kernel. Its zero value is ready for use.
type Linux struct {
	// Patience is how long a request may take before Stuck is called. The request
	// goes on: it cannot be interrupted. 0 watches nothing.
	Patience time.Duration

	// Stuck is called for each request that takes longer than Patience, by many
	// goroutines at a time.
	Stuck func(what string)

	// Unstuck, if it is not nil, is called when such a request has ended after all,
	// after Stuck has returned.
	Unstuck func(what string, took time.Duration)

	// Asked, if it is not nil, is told of every netlink request, by many goroutines at a
	// time.
	Asked func()
}

// watch has Stuck called unless the request that begins now ends in time.
func (k Linux) watch(what string) (ended func()) {
	if k.Patience == 0 {
		return func() {}
	}
	began, done := time.Now(), make(chan time.Duration, 1)
	t := time.AfterFunc(k.Patience, func() {
		k.Stuck(what)
		if took := <-done; k.Unstuck != nil {
			k.Unstuck(what, took)
		}
	})
	return func() {
		t.Stop()
		done <- time.Since(began)
	}
}

// Now reads CLOCK_BOOTTIME.
func (Linux) Now() netmove.BootOffset {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // EINVAL and EFAULT are all it knows, clock_gettime(2)
	}
	return netmove.BootOffset(ts.Nano())
}

// OpenNamespace opens the network namespace at path.
func (k Linux) OpenNamespace(path string) (netmove.Namespace, error) {
	ns, err := k.Open(path)
	if err != nil {
		return nil, err
	}
	return ns, nil
}

// Namespace is an open network namespace.
type Namespace struct {
	kernel  Linux
	file    netns.NsHandle
	own     bool // every thread of the process is in it
	inode   uint64
	cookie  uint64
	sock    *socket // of rtnetlink
	generic generic
	ethtool ethtool
	sysfs   sysfs
	modules modules

	sysctlFiles sysctlFiles
}

var _ netmove.Namespace = (*Namespace)(nil)

// ownPath is the calling thread's network namespace.
const ownPath = "/proc/thread-self/ns/net"

// OpenOwn opens the network namespace of the process, in which all of its threads must be,
// but for those that this package sends to another one and that do nothing else there. What
// has to be done on a thread in it is done on the caller's.
func (k Linux) OpenOwn() (*Namespace, error) { return k.openAt(ownPath, true) }

// Open opens the network namespace at path.
func (k Linux) Open(path string) (*Namespace, error) { return k.openAt(path, false) }

func (k Linux) openAt(path string, own bool) (*Namespace, error) {
	file, err := k.openFile(path)
	if err != nil {
		return nil, err
	}
	return k.handle(file, path, own)
}

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

// openFile opens the file of a network namespace. It is the only place that does, and
// path may be on a file system that does not answer.
func (k Linux) openFile(path string) (netns.NsHandle, error) {
	defer k.watch("opening a network namespace")()
	file, err := netns.GetFromPath(path)
	if errors.Is(err, os.ErrNotExist) {
		return netns.None(), fmt.Errorf("network namespace %s: %w", path, netmove.ErrNotFound)
	}
	if err != nil {
		return netns.None(), fmt.Errorf("open network namespace %s: %w", path, err)
	}
	return file, nil
}

// handle makes a handle of an open file, which is the handle's from now on. The path is
// for errors.
func (k Linux) handle(file netns.NsHandle, path string, own bool) (*Namespace, error) {
	ns := &Namespace{kernel: k, file: file, own: own}
	ns.sysfs.do = ns.do
	if err := ns.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("network namespace %s: %w", path, err), ns.Close())
	}
	return ns, nil
}

func (ns *Namespace) open() error {
	if err := ns.check(); err != nil {
		return err
	}
	return ns.do(ns.openInside)
}

// check reads the inode of the file, which must be that of a network namespace.
func (ns *Namespace) check() error {
	defer ns.kernel.watch("opening a network namespace")()
	kind, err := unix.IoctlRetInt(int(ns.file), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return netmove.ErrNotNamespace
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(ns.file), &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	ns.inode = st.Ino
	return nil
}

// openInside opens what belongs to the namespace of the calling thread.
func (ns *Namespace) openInside() error {
	sock, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	ns.sock = newSocket(sock)
	// Strict checking is what makes the kernel filter a dump by device.
	if err := unix.SetsockoptInt(sock.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1); err != nil {
		return fmt.Errorf("NETLINK_GET_STRICT_CHK: %w", err)
	}
	if err := sock.SetExtAck(true); err != nil {
		return fmt.Errorf("NETLINK_EXT_ACK: %w", err)
	}
	ns.cookie, err = unix.GetsockoptUint64(sock.GetFd(), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return ErrTooOld
	}
	if err != nil {
		return fmt.Errorf("SO_NETNS_COOKIE: %w", err)
	}
	return nil
}

// do calls f on a thread that is in the namespace. The main thread never leaves: what
// others see of a process in /proc is that thread's.
func (ns *Namespace) do(f func() error) error {
	defer ns.kernel.watch("work in a network namespace")()
	if ns.own {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Gettid() != unix.Getpid() {
		return ns.visit(f)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- ns.visit(f)
	}()
	return <-done
}

// visit calls f in the namespace, to which the thread goes, and comes back. If it cannot, all
// that would run on it later would be where it must not be, and there is no process better
// than that one.
func (ns *Namespace) visit(f func() error) (err error) {
	home, err := netns.GetFromPath(ownPath)
	if err != nil {
		return fmt.Errorf("own network namespace: %w", err)
	}
	if err := netns.Set(ns.file); err != nil {
		return errors.Join(fmt.Errorf("setns: %w", err), home.Close())
	}
	defer func() { // also when f panics, which somebody may recover from
		if back := netns.Set(home); back != nil {
			fmt.Fprintf(os.Stderr, "a thread cannot come back from a network namespace: %v\n", back)
			os.Exit(1)
		}
		err = errors.Join(err, home.Close())
	}()
	return f()
}

// Cookie is the namespace's SO_NETNS_COOKIE.
func (ns *Namespace) Cookie() uint64 { return ns.cookie }

// Inode is the namespace's inode number in nsfs.
func (ns *Namespace) Inode() uint64 { return ns.inode }

// Close closes all that the handle holds. The mount of sysfs ends with it, which takes the
// kernel's lock of mounts.
func (ns *Namespace) Close() error {
	defer ns.kernel.watch("closing a network namespace")()
	if ns.sock != nil {
		ns.sock.Close()
	}
	if ns.generic.sock != nil {
		ns.generic.sock.Close()
	}
	return errors.Join(ns.sysfs.close(), ns.file.Close())
}

// fd is the namespace's descriptor as an attribute's value.
func (ns *Namespace) fd() []byte { return nl.Uint32Attr(uint32(int(ns.file))) }

// is reports whether err holds one of the errnos.
func is(err error, errnos ...syscall.Errno) bool {
	for _, errno := range errnos {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
