package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// mplsRoutes tells of the MPLS routes through the device. The kernel takes the device out of
// them when it leaves, and deletes none of them (mpls_ifdown).
func (ns *Namespace) mplsRoutes(dev netmove.Snapshot) (told, error) {
	if _, err := os.Stat("/proc/sys/net/mpls"); errors.Is(err, os.ErrNotExist) {
		return told{}, nil // Linux without MPLS, or its module is not loaded
	}
	through := routeFilter{family: unix.AF_MPLS, index: dev.Identity.Index}
	list, err := gatherRoutes(ns, through, func(list *told, msg []byte) error {
		// A kernel that has no such routes dumps those of all families in their place.
		if label := routeAttribute(msg, unix.RTA_DST); msg[0] == unix.AF_MPLS && len(label) == 4 {
			list.add(func() string { return fmt.Sprintf("MPLS label %d", binary.BigEndian.Uint32(label)>>12) })
		}
		return nil
	})
	if answersNone(err) {
		return told{}, nil
	}
	if err != nil {
		return told{}, fmt.Errorf("MPLS routes: %w", err)
	}
	return list, nil
}
