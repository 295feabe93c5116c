package nstest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownMountsEnv marks a process that Main has given a mount namespace.
const ownMountsEnv = "NRI_NETDEV_TEST_OWN_MOUNTS"

// Main is for TestMain. It runs the tests in a mount namespace of their own
// and fails if they left something behind: mounts, descriptors, network
// devices of the machine, named network namespaces, child processes.
func Main(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(help(os.Args[1:]))
	}
	if err := ownMounts(); err != nil {
		fmt.Fprintln(os.Stderr, "nstest:", err)
		os.Exit(1)
	}
	if err := share(); err != nil {
		fmt.Fprintln(os.Stderr, "nstest:", err)
		os.Exit(1)
	}
	before := inventory()
	code := m.Run()
	if left := leftBehind(before); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "nstest: left behind:\n\t%s\n", strings.Join(left, "\n\t"))
		code = max(code, 1)
	}
	os.Exit(code)
}

// ownMounts starts the program over in a mount namespace that ends with it.
// unshare(2) moves the calling thread only, execve(2) makes it the process.
// Fuzzing workers inherit the mark and stay with their coordinator.
func ownMounts() error {
	if os.Geteuid() != 0 || os.Getenv(ownMountsEnv) != "" {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), ownMountsEnv+"=1"))
}

// leftBehind waits for what is only slow to go: a closed connection's
// goroutines, a killed process. It counts its looks, which take as much longer on a busy
// machine as the others do.
func leftBehind(before map[string]bool) []string {
	const enough, pause = 250, 20 * time.Millisecond
	for looks := 1; ; looks++ {
		left := added(before, inventory())
		if len(left) == 0 || looks == enough {
			return left
		}
		time.Sleep(pause)
	}
}
