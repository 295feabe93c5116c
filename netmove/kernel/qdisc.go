package kernel

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Parents of linux/pkt_sched.h, and the size of struct tcmsg.
const (
	tcRoot      = 0xffffffff // TC_H_ROOT
	tcIngress   = 0xfffffff1 // TC_H_INGRESS, TC_H_CLSACT
	sizeofTcmsg = 20
)

// tcmsg is struct tcmsg of linux/rtnetlink.h.
type tcmsg struct {
	index  int
	parent uint32
}

func (m tcmsg) Len() int { return sizeofTcmsg }

func (m tcmsg) Serialize() []byte {
	b := make([]byte, sizeofTcmsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(m.index))
	binary.NativeEndian.PutUint32(b[12:], m.parent)
	return b
}

// loss tells what of the device's state a move loses and nothing puts back:
// queueing disciplines that somebody has set, and the filters on them. Those
// that the kernel sets by itself have handle 0, and come back by themselves.
func (ns *Namespace) loss(index int) ([]string, error) {
	for _, parent := range []uint32{tcRoot, tcIngress} {
		// Without NLM_F_ECHO the kernel tells its listeners, and not who asked
		// (tc_get_qdisc, rtnetlink_send).
		req := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_ACK|unix.NLM_F_ECHO)
		req.AddData(tcmsg{index: index, parent: parent})
		msgs, err := ns.exchange(req, unix.RTM_NEWQDISC)
		if is(err, unix.ENOENT, unix.EINVAL, unix.EOPNOTSUPP) {
			continue // none, or a kernel without any
		}
		if err != nil {
			return nil, fmt.Errorf("qdiscs of ifindex %d: %w", index, classify(err))
		}
		for _, msg := range msgs {
			if len(msg) >= sizeofTcmsg && binary.NativeEndian.Uint32(msg[8:]) != 0 {
				return []string{netmove.LossQdisc}, nil
			}
		}
	}
	return nil, nil
}
