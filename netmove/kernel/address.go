package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Attributes of linux/if_addr.h that package unix lacks.
const ifaProto = 11 // IFA_PROTO, Linux 5.18

// sizeofCacheinfo is the size of struct ifa_cacheinfo: preferred and valid
// lifetime in seconds, and two time stamps.
const sizeofCacheinfo = 16

// Addresses reads the addresses of one device; the kernel does the filtering
// (NETLINK_GET_STRICT_CHK and ifa_index).
func (ns *Namespace) Addresses(index int) ([]netmove.Address, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
	req.AddData(ifAddr(index, netip.Prefix{}))
	msgs, err := ns.dump(req, unix.RTM_NEWADDR)
	if err != nil {
		return nil, fmt.Errorf("addresses of ifindex %d: %w", index, classify(err))
	}
	var list []netmove.Address
	for _, msg := range msgs {
		if family := nl.DeserializeIfAddrmsg(msg).Family; family != unix.AF_INET && family != unix.AF_INET6 {
			continue // MCTP, Phonet
		}
		a, err := parseAddress(msg)
		if err != nil {
			return nil, fmt.Errorf("addresses of ifindex %d: %w", index, err)
		}
		list = append(list, a)
	}
	return list, nil
}

// PutAddress adds the address or changes the one that is there.
func (ns *Namespace) PutAddress(index int, a netmove.Address) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
	msg := ifAddr(index, a.Local)
	msg.Scope = uint8(a.Scope)
	req.AddData(msg)
	for _, attr := range addressAttrs(a) {
		req.AddData(attr)
	}
	_, err := ns.exchange(req, 0)
	return err
}

// DropAddress takes the address with that prefix and peer off the device.
func (ns *Namespace) DropAddress(index int, a netmove.Address) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELADDR, unix.NLM_F_ACK)
	req.AddData(ifAddr(index, a.Local))
	for _, attr := range prefixAttrs(a) {
		req.AddData(attr)
	}
	_, err := ns.exchange(req, 0)
	if is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("%w: %w", netmove.ErrNotFound, err)
	}
	return err
}

func ifAddr(index int, local netip.Prefix) *nl.IfAddrmsg {
	msg := &nl.IfAddrmsg{}
	msg.Index = uint32(index)
	if local.IsValid() {
		msg.Family = unix.AF_INET6
		if local.Addr().Is4() {
			msg.Family = unix.AF_INET
		}
		msg.Prefixlen = uint8(local.Bits())
	}
	return msg
}

// prefixAttrs tell an address from the others of its device.
func prefixAttrs(a netmove.Address) []*nl.RtAttr {
	far := a.Local.Addr()
	if a.Peer.IsValid() {
		far = a.Peer
	}
	return []*nl.RtAttr{
		nl.NewRtAttr(unix.IFA_LOCAL, a.Local.Addr().AsSlice()),
		nl.NewRtAttr(unix.IFA_ADDRESS, far.AsSlice()),
	}
}

func addressAttrs(a netmove.Address) []*nl.RtAttr {
	attrs := append(prefixAttrs(a), nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(a.Flags)))
	if a.Broadcast.IsValid() {
		attrs = append(attrs, nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
	}
	if a.Label != "" {
		attrs = append(attrs, nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(string(a.Label))))
	}
	if a.Metric != 0 {
		attrs = append(attrs, nl.NewRtAttr(unix.IFA_RT_PRIORITY, nl.Uint32Attr(a.Metric)))
	}
	if a.Protocol != 0 {
		attrs = append(attrs, nl.NewRtAttr(ifaProto, []byte{a.Protocol}))
	}
	life := make([]byte, sizeofCacheinfo)
	binary.NativeEndian.PutUint32(life[0:], a.Preferred)
	binary.NativeEndian.PutUint32(life[4:], a.Valid)
	return append(attrs, nl.NewRtAttr(unix.IFA_CACHEINFO, life))
}

func parseAddress(msg []byte) (netmove.Address, error) {
	if len(msg) < unix.SizeofIfAddrmsg {
		return netmove.Address{}, errors.New("short RTM_NEWADDR")
	}
	head := nl.DeserializeIfAddrmsg(msg)
	attrs, err := nl.ParseRouteAttrAsMap(msg[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netmove.Address{}, fmt.Errorf("attributes of RTM_NEWADDR: %w", err)
	}
	a := netmove.Address{
		Scope:     netmove.Scope(head.Scope),
		Flags:     uint32(head.Flags),
		Label:     netmove.Text(unix.ByteSliceToString(attrs[unix.IFA_LABEL].Value)),
		Metric:    u32(attrs[unix.IFA_RT_PRIORITY].Value),
		Valid:     netmove.Forever,
		Preferred: netmove.Forever,
	}
	if v, ok := attrs[unix.IFA_FLAGS]; ok {
		a.Flags = u32(v.Value)
	}
	if v := attrs[ifaProto].Value; len(v) == 1 {
		a.Protocol = v[0]
	}
	if v := attrs[unix.IFA_CACHEINFO].Value; len(v) >= sizeofCacheinfo {
		a.Preferred, a.Valid = u32(v[0:]), u32(v[4:])
	}
	a.Broadcast, _ = netip.AddrFromSlice(attrs[unix.IFA_BROADCAST].Value)
	far, _ := netip.AddrFromSlice(attrs[unix.IFA_ADDRESS].Value)
	local, ok := netip.AddrFromSlice(attrs[unix.IFA_LOCAL].Value)
	if !ok { // IPv6 tells IFA_LOCAL only where there is a peer
		local = far
	}
	if local != far {
		a.Peer = far
	}
	a.Local = netip.PrefixFrom(local, int(head.Prefixlen))
	if !a.Local.IsValid() {
		return netmove.Address{}, errors.New("RTM_NEWADDR without an address")
	}
	return a, nil
}
