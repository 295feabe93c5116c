package netmove

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Bits of IFA_FLAGS (linux/if_addr.h).
const (
	FlagSecondary      uint32 = 0x01 // IPv4: another address of the subnet is primary
	FlagTemporary      uint32 = 0x01 // IPv6: made by the kernel for privacy, RFC 8981
	FlagNoDAD          uint32 = 0x02
	FlagOptimistic     uint32 = 0x04
	FlagDADFailed      uint32 = 0x08
	FlagHomeAddress    uint32 = 0x10
	FlagDeprecated     uint32 = 0x20
	FlagTentative      uint32 = 0x40
	FlagPermanent      uint32 = 0x80
	FlagManageTempAddr uint32 = 0x100
	FlagNoPrefixRoute  uint32 = 0x200
	FlagMCAutoJoin     uint32 = 0x400

	// settableFlags are those a user sets; the others report a state.
	settableFlags = FlagNoDAD | FlagOptimistic | FlagHomeAddress |
		FlagManageTempAddr | FlagNoPrefixRoute | FlagMCAutoJoin
)

// Values of IFA_PROTO for addresses that the kernel makes by itself.
const (
	protoKernelLoopback  = 1 // IFAPROT_KERNEL_LO
	protoKernelLinkLocal = 3 // IFAPROT_KERNEL_LL
)

// maxLabelLen is the longest IFA_LABEL: IFNAMSIZ without the final NUL.
const maxLabelLen = 15

// NewAddress is the address that "ip address add" would make of prefix:
// permanent, of global scope, without a broadcast address.
func NewAddress(prefix netip.Prefix) Address {
	return Address{Local: prefix, Flags: FlagPermanent, Valid: Forever, Preferred: Forever}
}

// IsIPv6 reports the address's family.
func (a Address) IsIPv6() bool { return a.Local.Addr().Is6() }

// String is the address as its prefix, with the peer where there is one.
func (a Address) String() string {
	if a.Peer.IsValid() {
		return fmt.Sprintf("%s peer %s", a.Local, a.Peer)
	}
	return a.Local.String()
}

// movesAlong reports whether the address follows its device into a pod:
// permanent ones of global scope do. A timed address is somebody's lease on
// the host, one of narrower scope means nothing elsewhere, and one that the kernel has
// refused another node has.
func (a Address) movesAlong() bool {
	return a.Scope == ScopeGlobal && a.Valid == Forever && !a.madeByKernel() && !a.refused()
}

// refused reports whether duplicate address detection has found another node with the
// address.
func (a Address) refused() bool { return a.IsIPv6() && a.Flags&FlagDADFailed != 0 }

// madeByKernel reports whether the kernel makes the address anew by itself:
// the link-local one when the device comes up, temporary ones from the
// address that manages them.
func (a Address) madeByKernel() bool {
	if a.Protocol == protoKernelLoopback || a.Protocol == protoKernelLinkLocal {
		return true
	}
	return a.IsIPv6() && a.Flags&FlagTemporary != 0
}

// relabel replaces the device's name in the label, which is the name itself or
// the name, a colon and more (ip-address(8)). Other labels stay.
func (a Address) relabel(from, to string) (Address, error) {
	rest, ok := strings.CutPrefix(string(a.Label), from)
	if !ok || (rest != "" && rest[0] != ':') {
		return a, nil
	}
	a.Label = Text(to + rest)
	if len(a.Label) > maxLabelLen {
		return a, fmt.Errorf("address %s would have the label %q, longer than %d bytes: choose a shorter newName",
			a.Local, a.Label, maxLabelLen)
	}
	return a, nil
}

// after is the address with the lifetimes that are left when elapsed has
// passed; ok is false when nothing is left.
func (a Address) after(elapsed time.Duration) (_ Address, ok bool) {
	left := func(seconds uint32) uint32 {
		if seconds == Forever {
			return Forever
		}
		return uint32(max(0, int64(seconds)-int64(elapsed/time.Second)))
	}
	a.Valid, a.Preferred = left(a.Valid), left(a.Preferred)
	return a, a.Valid > 0
}

// settable is the address as it is put on a device.
func (a Address) settable() Address {
	a.Flags &= settableFlags
	return a
}

// sameKey reports whether the kernel takes both for the same address.
func (a Address) sameKey(b Address) bool { return a.Local == b.Local && a.Peer == b.Peer }

// same reports whether both say the same of the same address, apart from the
// state that the kernel keeps and from time that passes.
func (a Address) same(b Address) bool {
	a, b = a.settable(), b.settable()
	if (a.Valid == Forever) != (b.Valid == Forever) {
		return false
	}
	a.Valid, a.Preferred, b.Valid, b.Preferred = 0, 0, 0, 0
	return a == b
}

// appears reports whether an address that was read is this one, put on a
// device: what the kernel adds by itself does not count.
func (a Address) appears(read Address) bool {
	if a.Label == "" {
		read.Label = ""
	}
	if a.Metric == 0 {
		read.Metric = 0
	}
	return a.sameKey(read) && a.same(read)
}

// inOrder arranges addresses, which are in the kernel's order, so that putting
// them one after the other gives that order again. The kernel appends IPv4
// addresses and puts an IPv6 address before others of its scope
// (__inet_insert_ifa, ipv6_link_dev_addr; measured on 6.18).
func inOrder(addrs []Address) []Address {
	var v4, v6 []Address
	for _, a := range addrs {
		if a.IsIPv6() {
			v6 = append(v6, a)
		} else {
			v4 = append(v4, a)
		}
	}
	slices.Reverse(v6)
	return append(v4, v6...)
}

// onLink is the network that the kernel takes to be on the link for the
// address; no network if it makes no route for it.
func (a Address) onLink() netip.Prefix {
	if a.Flags&FlagNoPrefixRoute != 0 {
		return netip.Prefix{}
	}
	if a.Peer.IsValid() {
		return netip.PrefixFrom(a.Peer, a.Local.Bits()).Masked()
	}
	return a.Local.Masked()
}
