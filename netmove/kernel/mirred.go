package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/rtnetlink.h, linux/pkt_cls.h and linux/tc_act/tc_mirred.h.
const (
	sizeofTcamsg   = 4
	tcaActTab      = 1  // TCA_ACT_TAB
	tcaActFirst    = 1  // the first action of a list
	tcaActKind     = 1  // TCA_ACT_KIND
	tcaActOptions  = 2  // TCA_ACT_OPTIONS
	tcaMirredParms = 2  // TCA_MIRRED_PARMS
	mirredIndex    = 24 // offset of ifindex in struct tc_mirred
	sizeofTcMirred = 28
)

// redirects tells of actions that send frames to the device. They stay when it leaves, and
// send them nowhere from then on (mirred_device_event).
func (ns *Namespace) redirects(dev netmove.Snapshot) ([]string, error) {
	kind := message{}
	kind.add(tcaActKind, nl.ZeroTerminated("mirred"))
	one := message{}
	one.add(unix.NLA_F_NESTED|tcaActFirst, kind.bytes())
	req := message{fixed: make([]byte, sizeofTcamsg)}
	req.add(unix.NLA_F_NESTED|tcaActTab, one.bytes())
	msgs, err := ns.dumpOf(unix.RTM_GETACTION, unix.RTM_GETACTION, req.bytes())
	if answersNone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("redirects: %w", err)
	}
	n := 0
	for _, m := range msgs {
		msg, err := parseMessage(m, sizeofTcamsg)
		if err != nil {
			return nil, err
		}
		actions, err := parseMessage(msg.attribute(tcaActTab), 0)
		if err != nil {
			return nil, err
		}
		for _, a := range actions.attrs {
			parms := findAttribute(findAttribute(a.Value, tcaActOptions), tcaMirredParms)
			if len(parms) >= sizeofTcMirred && u32(parms[mirredIndex:]) == uint32(dev.Identity.Index) {
				n++
			}
		}
	}
	if n == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("%d actions (mirred) send frames to it", n)}, nil
}
