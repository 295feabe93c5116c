package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What package unix lacks of linux/can/gw.h.
const (
	sizeofRtcanmsg = 4
	cgwSrcIf       = 9  // CGW_SRC_IF
	cgwDstIf       = 10 // CGW_DST_IF
)

// canRules tells of the rules of cangw that name the device, which the kernel deletes when it
// leaves (cgw_notifier).
func (ns *Namespace) canRules(l *link) ([]string, error) {
	if l.hardware != unix.ARPHRD_CAN {
		return nil, nil
	}
	if has, err := ns.has("can_gw"); !has || err != nil {
		return nil, err
	}
	msgs, err := ns.dumpOf(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, []byte{unix.AF_CAN, 0, 0, 0}) // struct rtcanmsg
	if answersNone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("rules of cangw: %w", err)
	}
	var list []string
	for _, m := range msgs {
		msg, err := parseMessage(m, sizeofRtcanmsg)
		if err != nil {
			return nil, err
		}
		from, to := int(u32(msg.attribute(cgwSrcIf))), int(u32(msg.attribute(cgwDstIf)))
		// A kernel that has no such rules dumps the routes of all families in their place.
		if msg.fixed[0] == unix.AF_CAN && (from == l.Identity.Index || to == l.Identity.Index) {
			list = append(list, fmt.Sprintf("%s to %s", ns.nameOf(from), ns.nameOf(to)))
		}
	}
	return list, nil
}

// nameOf is the name of the device with that ifindex, for people.
func (ns *Namespace) nameOf(index int) string {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return fmt.Sprintf("ifindex %d", index)
	}
	return l.Name
}
