package kernel

import (
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Offsets in struct rtmsg, beside the family at 0.
const (
	rtmTable    = 4
	rtmProtocol = 5
	rtmType     = 7
	rtmFlags    = 8
)

// routeFilter says which routes the kernel tells of (NETLINK_GET_STRICT_CHK). It goes through
// all of a family's, or of a table's; fields that are 0 exclude nothing.
type routeFilter struct {
	family uint8
	typ    uint8  // RTN_*
	table  uint32 // RT_TABLE_*
	index  int    // of a device that carries them: legs and nexthop objects count
}

func (f routeFilter) request() *nl.NetlinkRequest {
	msg := message{fixed: make([]byte, unix.SizeofRtMsg)}
	msg.fixed[0], msg.fixed[rtmType] = f.family, f.typ
	if f.table != 0 {
		msg.add(unix.RTA_TABLE, nl.Uint32Attr(f.table))
	}
	if f.index != 0 {
		msg.add(unix.RTA_OIF, nl.Uint32Attr(uint32(f.index)))
	}
	return dumpRequest(unix.RTM_GETROUTE, msg.bytes())
}

// gatherRoutes is gather for routes, of which a node may have more than a million: take
// looks at their bytes, and takes those apart that it wants.
func gatherRoutes[T any](ns *Namespace, f routeFilter, take func(into *T, msg []byte) error) (T, error) {
	whole, err := gather(ns, f.request(), unix.RTM_NEWROUTE, func(into *T, msg []byte) error {
		if len(msg) < unix.SizeofRtMsg {
			return errors.New("short RTM_NEWROUTE")
		}
		return take(into, msg)
	})
	if is(err, unix.ENOENT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP) {
		return whole, nil // no such table, or a kernel without the family
	}
	return whole, err
}

// routeAttribute is the value of a dumped route's attribute, nil without one.
func routeAttribute(msg []byte, typ uint16) []byte {
	return findAttribute(msg[unix.SizeofRtMsg:], typ)
}

// tableOf is the table of a dumped route. The one in the header is less than 256.
func tableOf(msg []byte) uint32 {
	if table := routeAttribute(msg, unix.RTA_TABLE); table != nil {
		return u32(table)
	}
	return uint32(msg[rtmTable])
}

// prefixOf is a dumped route's.
func prefixOf(msg []byte) netip.Prefix {
	return destination(nl.DeserializeRtMsg(msg), routeAttribute(msg, unix.RTA_DST))
}

// hasLeg reports whether some is true for a leg of a dumped route.
func hasLeg(msg []byte, some func(leg) bool) bool {
	found := false
	// The kernel's legs are whole.
	_ = eachLeg(routeAttribute(msg, unix.RTA_MULTIPATH), func(hop leg) { found = found || some(hop) })
	return found
}
