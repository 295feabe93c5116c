package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Pin bind-mounts the namespace on the file at path.
func (k Linux) Pin(ns netmove.Namespace, path string) error {
	n, ok := ns.(*Namespace)
	if !ok {
		return fmt.Errorf("pin a %T: not a namespace of this kernel", ns)
	}
	if pinned, err := k.Open(path); err == nil {
		same := pinned.cookie == n.cookie
		if err := pinned.Close(); err != nil || same {
			return err
		}
	}
	if err := k.Unpin(path); err != nil {
		return err
	}
	return k.bind(n.file, path)
}

// bind makes the file at path, and mounts the namespace on it.
func (k Linux) bind(file netns.NsHandle, path string) error {
	defer k.watch("pinning a network namespace")()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	err := unix.Mount(filepath.Join("/proc/self/fd", strconv.Itoa(int(file))), path, "", unix.MS_BIND, "")
	if is(err, unix.EPERM, unix.EACCES) { // capabilities; AppArmor, SELinux
		err = fmt.Errorf("%w: %w", netmove.ErrCannotPin, err)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("pin %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// Unpin unmounts what is on the file at path, and removes the file.
func (k Linux) Unpin(path string) error {
	defer k.watch("unpinning a network namespace")()
	const deep = 16 // mounts on one another, of which there is at most one
	for range deep {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if is(err, unix.EINVAL, unix.ENOENT, unix.EPERM, unix.EACCES) {
			break // not a mount, or nothing there, or no mount can be here
		}
		if err != nil {
			return fmt.Errorf("unpin %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("unpin: %w", err)
	}
	return nil
}
