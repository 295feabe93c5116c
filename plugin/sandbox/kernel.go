package sandbox

import (
	"io"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Kernel opens and keeps network namespaces, and knows of the processes in them. There are
// two: package kernel drives Linux, package netmovetest keeps a world in memory.
type Kernel interface {
	// OpenNamespace opens the network namespace at path, such as
	// /var/run/netns/NAME or /proc/PID/ns/net. Errors: netmove.ErrNotFound,
	// netmove.ErrNotNamespace.
	OpenNamespace(path string) (netmove.Namespace, error)

	// Pin keeps the namespace, and the devices in it, alive until Unpin,
	// whatever becomes of this process: it bind-mounts the namespace on the
	// file at path, which OpenNamespace then opens. A pin of the same
	// namespace is left as it is, another one is replaced, so that there are
	// never two mounts on one another. Error: netmove.ErrCannotPin.
	Pin(ns netmove.Namespace, path string) error

	// Unpin ends the pin at path, which need not exist.
	Unpin(path string) error

	// HoldProgram keeps a BPF program alive until it is closed, or this process ends: one
	// that netlink has attached lives by that alone, and could not be put back.
	HoldProgram(p netmove.Program) (io.Closer, error)

	// InodeAt is the inode number of the namespace at path. Error: netmove.ErrNotFound.
	InodeAt(path string) (uint64, error)

	// Inhabits reports whether the process is in the network namespace with
	// that inode number.
	Inhabits(pid int, inode uint64) (bool, error)

	// WhenEnded calls ended, once and on a goroutine of its own, when the
	// process has ended, unless stop is called first. Error: netmove.ErrNotFound.
	WhenEnded(pid int, ended func()) (stop func(), err error)

	// Occupied reports whether any process is in the network namespace with
	// that inode number. An error means that it cannot be told.
	Occupied(inode uint64) (bool, error)
}
