package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// isolatedEnv marks a process that isolate has started over.
const isolatedEnv = "NRI_NETDEV_PEERS_ISOLATED"

// isolate starts the program over in a network and a mount namespace that end with
// it, with an empty /run. That network namespace is the host's of all that follows.
// unshare(2) moves the calling thread only, execve(2) makes it the process: until then
// the goroutine must not change threads, or it would mount on the machine.
func isolate() error {
	if os.Getenv(isolatedEnv) != "" {
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), isolatedEnv+"=1"))
}
