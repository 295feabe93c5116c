package netmove

import (
	"errors"
	"fmt"
)

// ErrTainted means that the device is home, and that something of the pod's
// that could not be removed is still on it. It is left down and without
// addresses. Every ErrTainted is an ErrDiffers.
var ErrTainted = errors.New("something of the pod's is still on the device")

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
		if before.hasUpper(u.Identity) {
			continue
		}
		if err := pod.Delete(u.Identity.Index); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("remove %q, which the pod built on it: %w", u.Name, err)
		}
	}
	return nil
}

// seal leaves a device that is not as it was down and without the addresses of
// the snapshot, so that nothing passes through what is on it.
func (m *Mover) seal(dev Snapshot) error {
	if !dev.Flags.Up {
		return nil
	}
	return m.Host.SetUp(dev.Identity.Index, false)
}
