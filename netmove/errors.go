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
