package netmove

import (
	"errors"
	"fmt"
)

var (
	// ErrImmovable means that the kernel or the engine refuses to move such a device.
	ErrImmovable = errors.New("device cannot move")

	// ErrLost means that the device is neither in the pod nor on the host. It was
	// deleted, it died with a namespace that nobody held, or its hardware is
	// gone.
	ErrLost = errors.New("device is gone")

	// ErrDiffers means that the device is home, but not yet as it was.
	ErrDiffers = errors.New("device is home, but not as it was")

	// ErrUndo means that an attach failed, and something of it could not be undone. The
	// device it is about may be on either side; Return finishes the work.
	ErrUndo = errors.New("undo")

	// ErrMisnamed is an ErrDiffers whose reason is that the host has given the
	// device's name to another one.
	ErrMisnamed = errors.New("device is home under another name")

	// ErrTainted means that the device is home, and that something of the pod's
	// that could not be removed is still on it. It is left down and without
	// addresses. Every ErrTainted is an ErrDiffers.
	ErrTainted = errors.New("something of the pod's is still on the device")

	// ErrStacked means that the device is home, and that a device is built on it
	// that may be the pod's and may be somebody else's. It is left down and without
	// addresses, and only the pod's namespace can tell when that has changed.
	ErrStacked = errors.New("it cannot be told whose device is built on it")
)

// Classes of error that a Namespace returns, for errors.Is. The text beside
// them says what was tried and what the kernel answered.
var (
	// ErrNotFound means that there is no such device in the namespace (ENODEV), or no
	// namespace at the path (ENOENT).
	ErrNotFound = errors.New("not found")

	// ErrNameTaken means that a device of the namespace has that name or altname (EEXIST).
	ErrNameTaken = errors.New("the name is taken")

	// ErrExists means that the table has such an entry already (EEXIST).
	ErrExists = errors.New("there is such an entry already")

	// ErrUnreachable means that nothing carries the route: its device is gone or down, no
	// address reaches its next hop (ENODEV, ENETDOWN, ENETUNREACH, EHOSTUNREACH), or its source
	// address, its nexthop object, the device's IPv6 or the namespace's room for routes is
	// gone (EINVAL, EACCES, ENOMEM).
	ErrUnreachable = errors.New("nothing carries it")

	// ErrIndexTaken means that a device of the namespace has that ifindex (EBUSY of a move).
	ErrIndexTaken = errors.New("the ifindex is taken")

	// ErrBusy means that the device must be down for that change (EBUSY of a rename
	// before Linux 6.2, of some drivers' MAC change and of a new port of a team,
	// EPERM of one of a bond).
	ErrBusy = errors.New("the device must be down for it")

	// ErrCannotPin means that bind mounts cannot be made here (EPERM): the
	// process lacks CAP_SYS_ADMIN over its mount namespace.
	ErrCannotPin = errors.New("a network namespace cannot be pinned here")

	// ErrNoNeighbors means that the device has no link with neighbors that ask who has an
	// address (IFF_NOARP, IFF_POINTOPOINT, IFF_LOOPBACK).
	ErrNoNeighbors = errors.New("the device has no neighbors to be told")

	// ErrUnseen means that the kernel does not show all programs of a device to
	// this process (EPERM of bpf(2): capabilities, seccomp, lockdown).
	ErrUnseen = errors.New("BPF programs cannot be seen here")

	// ErrNotNamespace means that the file is not a network namespace.
	ErrNotNamespace = errors.New("not a network namespace")
)

// StepError tells at which step, and with which device, an operation failed.
type StepError struct {
	Device    string // host name
	Step      string // what was tried, such as "set MTU 9000"
	Attribute string // what of the device it is about, such as "mtu"; "" where it is about none
	Err       error  // what the kernel answered
}

func (e *StepError) Error() string {
	return fmt.Sprintf("device %q: %s: %v", e.Device, e.Step, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// MinorError tells that the device is home and as it was, but for settings
// without which it is of use nevertheless: options, sysctls, and entries of
// tables. It is wrapped in an ErrDiffers.
type MinorError struct {
	Steps []*StepError // what could not be done
}

func (e *MinorError) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns the errors of the steps.
func (e *MinorError) Unwrap() []error {
	errs := make([]error, len(e.Steps))
	for i, s := range e.Steps {
		errs[i] = s
	}
	return errs
}

// and is the error with more steps, nil if there are none.
func (e *MinorError) and(more []*StepError) error {
	if e != nil {
		more = append(e.Steps, more...)
	}
	if len(more) == 0 {
		return nil
	}
	return &MinorError{more}
}
