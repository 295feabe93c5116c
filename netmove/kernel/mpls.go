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
func (ns *Namespace) mplsRoutes(dev netmove.Snapshot) ([]string, error) {
	if _, err := os.Stat("/proc/sys/net/mpls"); errors.Is(err, os.ErrNotExist) {
		return nil, nil // Linux without MPLS, or its module is not loaded
	}
	msgs, err := ns.routeMessages(dev.Identity.Index, unix.AF_MPLS)
	if answersNone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("MPLS routes: %w", err)
	}
	var list []string
	for _, m := range msgs {
		msg, err := parseMessage(m, unix.SizeofRtMsg)
		if err != nil {
			return nil, err
		}
		// A kernel that has no such routes dumps those of all families in their place.
		if label := msg.attribute(unix.RTA_DST); msg.fixed[0] == unix.AF_MPLS && len(label) == 4 {
			list = append(list, fmt.Sprintf("MPLS label %d", binary.BigEndian.Uint32(label)>>12))
		}
	}
	return list, nil
}
