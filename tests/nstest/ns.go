package nstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The main thread belongs to the main goroutine, which runs no test. On
// another goroutine's it could be inside a namespace while somebody looks at
// /proc/self/ns/net, which is the main thread's, and it could not be thrown
// away: the Go runtime parks it for good instead.
func init() { runtime.LockOSThread() }

// NS is a network namespace that ends with its test.
type NS struct {
	path string
}

// New makes a network namespace. Its lo is down, as in every new namespace.
func New(t testing.TB) *NS {
	t.Helper()
	needRoot(t)
	ns := &NS{path: mountPoint(t)}
	made := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and the
		// namespace stays with its mount alone.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- fmt.Errorf("unshare: %w", err)
			return
		}
		made <- ns.mount("/proc/thread-self/ns/net")
	}()
	if err := <-made; err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Remove(t) })
	return ns
}

// NewUserNS makes a network namespace that a child user namespace owns, as
// that of a pod with hostUsers: false.
func NewUserNS(t testing.TB) *NS {
	t.Helper()
	needRoot(t)
	ns := &NS{path: mountPoint(t)}
	if err := ns.mountFromUserNS(); err != nil {
		t.Fatalf("new network namespace of a user namespace: %v", err)
	}
	t.Cleanup(func() { ns.Remove(t) })
	return ns
}

// At is the network namespace at a path, that of a pod or process. Somebody
// else made it and ends it.
func At(path string) *NS { return &NS{path: path} }

// mountFromUserNS takes the namespace from a process, since a program with
// threads cannot enter a user namespace (EINVAL, user_namespaces(7)).
func (ns *NS) mountFromUserNS() error {
	holder := exec.Command("cat") // runs until its input ends
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}},
		Credential:  &syscall.Credential{Uid: 0, Gid: 0},
	}
	input, err := holder.StdinPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	err = ns.mount(filepath.Join("/proc", strconv.Itoa(holder.Process.Pid), "ns/net"))
	return errors.Join(err, input.Close(), holder.Wait())
}

func (ns *NS) mount(from string) error {
	if err := unix.Mount(from, ns.path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", from, err)
	}
	return nil
}

// Path is the file that the namespace is mounted on.
func (ns *NS) Path() string { return ns.path }

// Remove unmounts the namespace and removes its file, as a runtime does at
// the end of a pod. The namespace is gone unless something else holds it.
// Tests need it only to end a namespace early.
func (ns *NS) Remove(t testing.TB) {
	t.Helper()
	if _, err := os.Lstat(ns.path); errors.Is(err, os.ErrNotExist) {
		return
	}
	if err := unix.Unmount(ns.path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		t.Errorf("unmount %s: %v", ns.path, err) // EINVAL: not mounted any more
	}
	if err := os.Remove(ns.path); err != nil {
		t.Error(err)
	}
}

// Do calls f in the namespace, on the calling goroutine, so that f may end
// the test. Goroutines that f starts are elsewhere.
func (ns *NS) Do(t testing.TB, f func()) {
	t.Helper()
	runtime.LockOSThread()
	home := openNS(t, "/proc/thread-self/ns/net")
	defer home.Close()
	inside := openNS(t, ns.path)
	defer inside.Close()
	if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		t.Fatalf("enter %s: %v", ns.path, err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatalf("leave %s: %v", ns.path, err) // the thread stays locked, and ends with the test
		}
		runtime.UnlockOSThread()
	}()
	f()
}

func openNS(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// mountPoint makes the file for a namespace. It asks for the folder before
// the caller registers its clean-up, which therefore runs first.
func mountPoint(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	return path
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Unavailable(t, "netns", "network namespaces need root")
	}
}
