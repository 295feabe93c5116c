package netmove

import (
	"errors"
	"fmt"
)

// ErrLowerDown means that a device cannot go up as long as the one below it is down (ENETDOWN).
var ErrLowerDown = errors.New("the device below is down")

// Lower is the device that another one is built on.
type Lower struct {
	Name string // "" for none, and for one that is in another namespace
	MTU  int    // bytes, the most that the upper one can have; 0: no limit
}

// checkMTU makes sure that the device below carries frames of that size.
func (l Lower) checkMTU(mtu int) error {
	if l.MTU == 0 || mtu <= l.MTU {
		return nil
	}
	return fmt.Errorf("mtu %d is more than the %d that the device below, %q, allows", mtu, l.MTU, l.Name)
}

// explain names the device below in the error of a step, if it is the reason.
func (l Lower) explain(err error) error {
	var step *StepError
	if l.Name == "" || !errors.Is(err, ErrLowerDown) || !errors.As(err, &step) {
		return err
	}
	explained := *step
	explained.Err = fmt.Errorf("it is built on %q: %w", l.Name, step.Err)
	return &explained
}

// withLower is the snapshot with the MTU that the device below allows by now. Where that is
// less than it was, that is a difference, and no reason to keep the device.
func (m *Mover) withLower(dev, want Snapshot) (Snapshot, []*StepError) {
	if dev.MTU >= want.MTU || dev.Below == 0 {
		return want, nil
	}
	f, err := m.Host.Survey(dev).Facts(&dev)
	if err != nil {
		return want, nil // setting it says why it cannot be set
	}
	small := f.Lower.checkMTU(want.MTU)
	if small == nil {
		return want, nil
	}
	lowered := &StepError{Device: want.Name, Step: fmt.Sprintf("set MTU %d", want.MTU), Attribute: "mtu", Err: small}
	want.MTU = f.Lower.MTU
	return want, []*StepError{lowered}
}
