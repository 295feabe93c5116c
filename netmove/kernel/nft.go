package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/netfilter/nf_tables.h and nfnetlink.h.
const (
	sizeofNfgenmsg   = 4
	nftaTable        = 1 // NFTA_CHAIN_TABLE, NFTA_FLOWTABLE_TABLE
	nftaHookDevs     = 4 // NFTA_HOOK_DEVS
	nftaDeviceName   = 1 // NFTA_DEVICE_NAME
	nftaFlowName     = 2 // NFTA_FLOWTABLE_NAME
	nftaFlowHook     = 3 // NFTA_FLOWTABLE_HOOK
	nftaFlowHookDevs = 3 // NFTA_FLOWTABLE_HOOK_DEVS
)

// nftHooks tells of the chains and flowtables of nftables that name the device. Linux before
// 6.16 takes the device from them when it leaves, and deletes a chain that has no other.
func (ns *Namespace) nftHooks(dev netmove.Snapshot) (list []string, err error) {
	if has, err := ns.has("nf_tables"); !has || err != nil {
		return nil, err
	}
	err = ns.dumping(unix.NETLINK_NETFILTER, func(d dumper) (err error) {
		list, err = d.nftHooks(dev.Name)
		return err
	})
	return list, err
}

func (d dumper) nftHooks(device string) (list []string, err error) {
	for _, t := range []struct {
		what   string
		verb   int
		family uint8
		name   uint16 // attributes
		hook   uint16
	}{
		{"chain", unix.NFT_MSG_GETCHAIN, unix.NFPROTO_NETDEV, unix.NFTA_CHAIN_NAME, unix.NFTA_CHAIN_HOOK},
		{"chain", unix.NFT_MSG_GETCHAIN, unix.NFPROTO_INET, unix.NFTA_CHAIN_NAME, unix.NFTA_CHAIN_HOOK},
		{"flowtable", unix.NFT_MSG_GETFLOWTABLE, unix.NFPROTO_UNSPEC, nftaFlowName, nftaFlowHook},
	} {
		msgs, err := d.dump(unix.NFNL_SUBSYS_NFTABLES<<8|t.verb, []byte{t.family, 0, 0, 0}) // struct nfgenmsg
		if err != nil {
			return nil, fmt.Errorf("%ss of nftables: %w", t.what, err)
		}
		for _, m := range msgs {
			msg, err := parseMessage(m, sizeofNfgenmsg)
			if err != nil {
				return nil, err
			}
			if hooks(msg.attribute(t.hook), device) {
				list = append(list, fmt.Sprintf("%s %s of table %s", t.what, text(msg, t.name), text(msg, nftaTable)))
			}
		}
	}
	return list, nil
}

// hooks reports whether the device is among those of a hook. A chain has one as a name of its
// own, or several as a list, and a flowtable has a list.
func hooks(hook []byte, device string) bool {
	if one := findAttribute(hook, unix.NFTA_HOOK_DEV); unix.ByteSliceToString(one) == device {
		return true
	}
	for _, typ := range []uint16{nftaHookDevs, nftaFlowHookDevs} {
		list, err := parseMessage(findAttribute(hook, typ), 0)
		if err != nil {
			continue // it is the name of one
		}
		for _, a := range list.attrs {
			if a.Attr.Type == nftaDeviceName && unix.ByteSliceToString(a.Value) == device {
				return true
			}
		}
	}
	return false
}

// text is the value of an attribute that is a string.
func text(msg message, typ uint16) string { return unix.ByteSliceToString(msg.attribute(typ)) }
