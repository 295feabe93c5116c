package nstest

import (
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers of linux/userfaultfd.h, linux/sockios.h and linux/ethtool.h.
const (
	uffdAPI              = 0xaa
	uffdioAPI            = 0xc018aa3f
	uffdioRegister       = 0xc020aa00
	registerModeMissing  = 1
	ethtoolGetStringSets = 0x37 // ETHTOOL_GSSET_INFO
)

// HoldRTNL takes the lock under which the kernel changes any network device,
// RTNL, and holds it until release. The lock is the whole machine's: nothing
// that runs at the same time gets on, in whatever namespace.
//
// It asks the kernel for something that it reads the rest of the question for
// under the lock (dev_ethtool), and that is on a page which userfaultfd(2) does
// not deliver before the release.
func HoldRTNL(t testing.TB) (release func()) {
	t.Helper()
	page := unix.Getpagesize()
	mem, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	uffd := missing(t, mem[page:])
	question := mem[page-4:]
	*(*uint32)(unsafe.Pointer(&question[0])) = ethtoolGetStringSets
	done := make(chan error, 1)
	go func() { done <- askUnderRTNL(&question[0]) }()
	awaitFault(t, uffd)
	return sync.OnceFunc(func() {
		if err := unix.Close(uffd); err != nil { // the page is an empty one then
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
}

// missing makes a page one that is delivered by the descriptor it returns.
func missing(t testing.TB, page []byte) int {
	t.Helper()
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno != 0 {
		Unavailable(t, "rtnl", "userfaultfd: "+errno.Error())
	}
	api := [3]uint64{uffdAPI}
	register := [4]uint64{uint64(uintptr(unsafe.Pointer(&page[0]))), uint64(len(page)), registerModeMissing}
	for _, call := range []struct {
		request uintptr
		arg     unsafe.Pointer
	}{{uffdioAPI, unsafe.Pointer(&api)}, {uffdioRegister, unsafe.Pointer(&register)}} {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, call.request, uintptr(call.arg)); errno != 0 {
			t.Fatalf("userfaultfd: %v", errno)
		}
	}
	return int(fd)
}

// askUnderRTNL asks about the loopback device of a namespace of its own.
func askUnderRTNL(question *byte) error {
	runtime.LockOSThread() // the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	ifreq := struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data *byte
		_    [16]byte
	}{name: [unix.IFNAMSIZ]byte{'l', 'o'}, data: question}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq))); errno != 0 {
		return errno
	}
	return nil
}

// awaitFault waits until the kernel wants the page, which it does under RTNL. If
// that takes too long, whoever has it by then is let go.
func awaitFault(t testing.TB, uffd int) {
	t.Helper()
	const patience, pause = 2 * time.Minute, 100 * time.Millisecond
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(uffd), Events: unix.POLLIN}}, int(pause.Milliseconds()))
		if n == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("RTNL cannot be had", err, unix.Close(uffd))
		}
	}
}
