package nstest

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Of <linux/if_addr.h>, since Linux 5.18; golang.org/x/sys does not have them.
const (
	ifaProto      = 11 // IFA_PROTO
	protoKernelRA = 2  // IFAPROT_KERNEL_RA, made after a router's advertisement
	protoKernelLL = 3  // IFAPROT_KERNEL_LL, the link-local address
)

// address is an RTM_NEWADDR message. The library's own type leaves out
// metric, protocol and the order of what it does not know.
type address struct {
	link   int
	family uint8
	prefix uint8
	scope  uint8
	flags  uint32
	proto  byte
	attrs  map[uint16][]byte
}

func listAddresses() ([]address, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	if err != nil {
		return nil, err
	}
	var all []address
	for _, msg := range msgs {
		a, err := parseAddress(msg)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

func parseAddress(msg []byte) (address, error) {
	header := nl.DeserializeIfAddrmsg(msg)
	attrs, err := nl.ParseRouteAttr(msg[header.Len():])
	if err != nil {
		return address{}, err
	}
	a := address{
		link:   int(header.Index),
		family: header.Family,
		prefix: header.Prefixlen,
		scope:  header.Scope,
		flags:  uint32(header.Flags),
		attrs:  map[uint16][]byte{},
	}
	for _, attr := range attrs {
		a.attrs[attr.Attr.Type] = attr.Value
	}
	if v, ok := a.attrs[unix.IFA_FLAGS]; ok { // the header has room for the first eight only
		a.flags = binary.NativeEndian.Uint32(v)
	}
	if v, ok := a.attrs[ifaProto]; ok {
		a.proto = v[0]
	}
	return a, nil
}

// madeByKernel tells the IPv6 addresses that come and go by themselves, some
// time after the device has come up.
func (a address) madeByKernel() bool {
	return a.proto == protoKernelRA || a.proto == protoKernelLL
}

func (a address) String() string {
	var out strings.Builder
	family, local := "inet", a.attrs[unix.IFA_LOCAL]
	if a.family == unix.AF_INET6 {
		family = "inet6"
	}
	if local == nil { // IPv6 without a peer has IFA_ADDRESS alone
		local = a.attrs[unix.IFA_ADDRESS]
	}
	fmt.Fprintf(&out, "%s %s/%d", family, ip(local), a.prefix)
	if peer := a.attrs[unix.IFA_ADDRESS]; string(peer) != string(local) {
		fmt.Fprintf(&out, " peer %s", ip(peer))
	}
	if brd := a.attrs[unix.IFA_BROADCAST]; brd != nil {
		fmt.Fprintf(&out, " brd %s", ip(brd))
	}
	fmt.Fprintf(&out, " scope %d", a.scope)
	if label := a.attrs[unix.IFA_LABEL]; label != nil {
		fmt.Fprintf(&out, " label %s", strings.TrimRight(string(label), "\x00"))
	}
	if metric := a.attrs[unix.IFA_RT_PRIORITY]; metric != nil {
		fmt.Fprintf(&out, " metric %d", binary.NativeEndian.Uint32(metric))
	}
	if a.proto != 0 {
		fmt.Fprintf(&out, " proto %d", a.proto)
	}
	fmt.Fprintf(&out, " <%s> %s", a.flagNames(), a.lifetime())
	return out.String()
}

func (a address) flagNames() string {
	first := "SECONDARY"
	if a.family == unix.AF_INET6 {
		first = "TEMPORARY" // the same bit
	}
	return flagNames(a.flags, []flagName{
		{unix.IFA_F_SECONDARY, first},
		{unix.IFA_F_NODAD, "NODAD"},
		{unix.IFA_F_OPTIMISTIC, "OPTIMISTIC"},
		{unix.IFA_F_DADFAILED, "DADFAILED"},
		{unix.IFA_F_HOMEADDRESS, "HOMEADDRESS"},
		{unix.IFA_F_DEPRECATED, "DEPRECATED"},
		{unix.IFA_F_TENTATIVE, "TENTATIVE"},
		{unix.IFA_F_PERMANENT, "PERMANENT"},
		{unix.IFA_F_MANAGETEMPADDR, "MANAGETEMPADDR"},
		{unix.IFA_F_NOPREFIXROUTE, "NOPREFIXROUTE"},
		{unix.IFA_F_MCAUTOJOIN, "MCAUTOJOIN"},
		{unix.IFA_F_STABLE_PRIVACY, "STABLE_PRIVACY"},
	})
}

// lifetime tells only whether there is one: the seconds left change.
func (a address) lifetime() string {
	const infinity = 1<<32 - 1
	info := a.attrs[unix.IFA_CACHEINFO]
	if info == nil || binary.NativeEndian.Uint32(info[4:]) == infinity { // ifa_valid
		return "forever"
	}
	return "timed"
}

func ip(b []byte) netip.Addr {
	addr, _ := netip.AddrFromSlice(b)
	return addr
}
