package netmove

import (
	"errors"
	"fmt"
	"slices"
)

// ErrTainted means that the device is home, and that something of the pod's
// that could not be removed is still on it. It is left down and without
// addresses. Every ErrTainted is an ErrDiffers.
var ErrTainted = errors.New("something of the pod's is still on the device")

// XDP is what runs on a device's receive path: the ids of BPF programs by
// mode, 0 for none (IFLA_XDP_*_PROG_ID). Programs follow a device when it moves.
type XDP struct {
	Driver   uint32 `json:"driver,omitempty"`
	Generic  uint32 `json:"generic,omitempty"`
	Hardware uint32 `json:"hardware,omitempty"`
}

// strip removes the devices that the pod has built on ours and left in its
// namespace: they would go on receiving the host device's frames after it went
// home. What was on the device before the attach is the host's, and may be in
// the pod because that was given it, too.
func strip(pod Namespace, dev, before Snapshot) error {
	uppers, err := pod.Uppers(dev.Identity.Index)
	if err != nil {
		return fmt.Errorf("look for devices on it: %w", err)
	}
	for _, u := range uppers {
		if slices.ContainsFunc(before.Uppers, u.Identity.Same) {
			continue
		}
		if err := pod.Delete(u.Identity.Index); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("remove %q, which the pod built on it: %w", u.Name, err)
		}
	}
	return nil
}

// detach removes the programs of the pod's from a device that is home. One
// that a BPF link holds cannot be removed this way.
func (m *Mover) detach(dev, before Snapshot) error {
	foreign := XDP{
		Driver:   other(dev.XDP.Driver, before.XDP.Driver),
		Generic:  other(dev.XDP.Generic, before.XDP.Generic),
		Hardware: other(dev.XDP.Hardware, before.XDP.Hardware),
	}
	if foreign == (XDP{}) {
		return nil
	}
	if err := m.Host.DetachXDP(dev.Identity.Index, foreign); err != nil {
		return fmt.Errorf("%w: %w", ErrTainted, err)
	}
	return nil
}

// other is the program unless it is the one that was there before.
func other(program, before uint32) uint32 {
	if program == before {
		return 0
	}
	return program
}

// seal leaves a device that is not as it was down and without the addresses of
// the snapshot, so that nothing passes through what is on it.
func (m *Mover) seal(dev Snapshot) error {
	if !dev.Flags.Up {
		return nil
	}
	return m.Host.SetUp(dev.Identity.Index, false)
}
