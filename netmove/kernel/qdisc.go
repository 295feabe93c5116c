package kernel

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Struct tcmsg and attributes of linux/rtnetlink.h, parents of linux/pkt_sched.h.
const (
	sizeofTcmsg = 20
	tcmIfindex  = 4 // offsets
	tcmHandle   = 8
	tcmParent   = 12
	tcmInfo     = 16

	tcaKind    = 1 // TCA_KIND
	tcaOptions = 2 // TCA_OPTIONS
	tcaStab    = 8 // TCA_STAB

	tcRoot    = 0xffffffff // TC_H_ROOT
	tcIngress = 0xfffffff1 // TC_H_INGRESS, TC_H_CLSACT
)

// queueing is a queueing discipline.
type queueing struct{ message }

func (q queueing) kind() string   { return unix.ByteSliceToString(q.attribute(tcaKind)) }
func (q queueing) handle() uint32 { return u32(q.fixed[tcmHandle:]) }

// set reports whether somebody has set it. Those that the kernel sets by itself
// have handle 0, and come back by themselves.
func (q queueing) set() bool { return q.fixed != nil && q.handle() != 0 }

// simple reports whether it has no classes, and takes the options that it tells.
func (q queueing) simple() bool {
	return slices.Contains([]string{"fq", "fq_codel", "codel", "pfifo", "bfifo", "pfifo_fast"}, q.kind())
}

// entry is the discipline as it is set.
func (q queueing) entry() netmove.Entry {
	msg := message{fixed: slices.Clone(q.fixed)}
	clear(msg.fixed[tcmIfindex : tcmIfindex+4])
	clear(msg.fixed[tcmInfo:]) // a count of references
	msg.add(tcaKind, q.attribute(tcaKind))
	for _, typ := range []uint16{tcaOptions, tcaStab} {
		if value := q.attribute(typ); value != nil {
			msg.add(typ, value)
		}
	}
	return netmove.Entry{Table: netmove.TableQdisc, Text: fmt.Sprintf("%s %x:", q.kind(), q.handle()>>16), Message: msg.bytes()}
}

// qdiscs reads the root discipline, if somebody has set it and it can be set again
// as it was.
func (ns *Namespace) qdiscs(dev *link) ([]netmove.Entry, error) {
	if !hasRootQdisc(dev.Snapshot) {
		return nil, nil
	}
	root, exact, err := ns.rootQdisc(dev.Identity.Index)
	if err != nil || !exact {
		return nil, err
	}
	return []netmove.Entry{root.entry()}, nil
}

// hasRootQdisc reports whether the device may have a discipline that somebody has set.
func hasRootQdisc(dev netmove.Snapshot) bool { return dev.Qdisc != "noqueue" && dev.Qdisc != "noop" }

// rootQdisc reads the root discipline, and tells whether all of it is known.
func (ns *Namespace) rootQdisc(index int) (_ queueing, exact bool, err error) {
	root, err := ns.qdisc(index, tcRoot)
	if err != nil || !root.set() || !root.simple() {
		return root, false, err
	}
	filters, err := ns.hasFilters(index, root.handle())
	return root, !filters, err
}

// qdisc reads the discipline with that parent, the zero value if there is none.
func (ns *Namespace) qdisc(index int, parent uint32) (queueing, error) {
	// Without NLM_F_ECHO the kernel tells its listeners, and not who asked
	// (tc_get_qdisc, rtnetlink_send).
	req := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_ACK|unix.NLM_F_ECHO)
	req.AddRawData(tcMessage(index, parent))
	msgs, err := ns.exchange(req, unix.RTM_NEWQDISC)
	if is(err, unix.ENOENT, unix.EINVAL, unix.EOPNOTSUPP) || err == nil && len(msgs) == 0 {
		return queueing{}, nil // none, or a kernel without any
	}
	if err != nil {
		return queueing{}, fmt.Errorf("qdisc of ifindex %d: %w", index, classify(err))
	}
	msg, err := parseMessage(msgs[0], sizeofTcmsg)
	return queueing{msg}, err
}

func (ns *Namespace) hasFilters(index int, parent uint32) (bool, error) {
	msgs, err := ns.dumpOf(unix.RTM_GETTFILTER, unix.RTM_NEWTFILTER, tcMessage(index, parent))
	if err != nil {
		return false, fmt.Errorf("filters of ifindex %d: %w", index, classify(err))
	}
	return len(msgs) > 0, nil
}

func tcMessage(index int, parent uint32) []byte {
	b := make([]byte, sizeofTcmsg)
	binary.NativeEndian.PutUint32(b[tcmIfindex:], uint32(index))
	binary.NativeEndian.PutUint32(b[tcmParent:], parent)
	return b
}

func (ns *Namespace) putQdisc(index int, e netmove.Entry) error {
	msg, err := parseMessage(e.Message, sizeofTcmsg)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(msg.fixed[tcmIfindex:], uint32(index))
	if err := roundTimes(msg.attribute(tcaOptions), queueing{msg}.times()); err != nil {
		return err
	}
	return ns.request(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, msg.bytes())
}

// dropQdisc removes the discipline: the kernel puts its own in place.
func (ns *Namespace) dropQdisc(index int, raw []byte) error {
	msg, err := parseMessage(raw, sizeofTcmsg)
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint32(msg.fixed[tcmIfindex:], uint32(index))
	return ns.request(unix.RTM_DELQDISC, 0, msg.fixed)
}

// times are the options of a codel that are times: TCA_CODEL_TARGET,
// TCA_CODEL_INTERVAL and TCA_CODEL_CE_THRESHOLD, and those of fq_codel.
func (q queueing) times() []uint16 {
	switch q.kind() {
	case "codel":
		return []uint16{1, 3, 5}
	case "fq_codel":
		return []uint16{1, 3, 7}
	}
	return nil
}

// roundTimes changes what codel tells of its times to what it must be told. It
// counts in units of 1.024 µs, and rounds down when it is told microseconds as
// well as when it tells them (codel_change, codel_time_to_us).
func roundTimes(options []byte, times []uint16) error {
	if len(times) == 0 {
		return nil
	}
	attrs, err := nl.ParseRouteAttr(options)
	for _, a := range attrs {
		if slices.Contains(times, a.Attr.Type) && len(a.Value) == 4 {
			binary.NativeEndian.PutUint32(a.Value, u32(a.Value)+1) // in place
		}
	}
	return err
}

// lostQdiscs names the queueing disciplines that are not read whole.
func (ns *Namespace) lostQdiscs(dev netmove.Snapshot) ([]string, error) {
	var kinds []string
	index := dev.Identity.Index
	if hasRootQdisc(dev) {
		root, exact, err := ns.rootQdisc(index)
		if err != nil {
			return nil, err
		}
		if root.set() && !exact {
			kinds = append(kinds, root.kind())
		}
	}
	ingress, err := ns.qdisc(index, tcIngress)
	if ingress.set() {
		kinds = append(kinds, ingress.kind())
	}
	return kinds, err
}

// lostTC tells of those, and of what sends frames to the device.
func (ns *Namespace) lostTC(dev netmove.Snapshot) ([]string, error) {
	list, err := ns.lostQdiscs(dev)
	if err != nil {
		return nil, err
	}
	redirects, err := ns.redirects(dev)
	return append(list, redirects...), err
}
