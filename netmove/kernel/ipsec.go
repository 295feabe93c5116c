package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// espOffload is the feature of devices that take over work of IPsec.
const espOffload = "esp-hw-offload"

// offloadedIPsec tells of the states and policies of IPsec that the device has taken over,
// which the kernel deletes when it leaves (xfrm_dev_unregister).
func (ns *Namespace) offloadedIPsec(dev netmove.Snapshot) (list []string, err error) {
	if can, err := ns.can(dev, espOffload); !can || err != nil {
		return nil, err
	}
	if has, err := ns.has("xfrm_user"); !has || err != nil {
		return nil, err
	}
	err = ns.dumping(unix.NETLINK_XFRM, func(d dumper) (err error) {
		list, err = d.offloadedIPsec(dev.Identity.Index)
		return err
	})
	return list, err
}

func (d dumper) offloadedIPsec(to int) (list []string, err error) {
	for _, t := range []struct {
		what string
		verb int
		size int // of the struct before the attributes
	}{
		{"states", nl.XFRM_MSG_GETSA, nl.SizeofXfrmUsersaInfo},
		{"policies", nl.XFRM_MSG_GETPOLICY, nl.SizeofXfrmUserpolicyInfo},
	} {
		msgs, err := d.dump(t.verb, nil)
		if err != nil {
			return nil, fmt.Errorf("%s of IPsec: %w", t.what, err)
		}
		n := 0
		for _, msg := range msgs {
			// struct xfrm_user_offload begins with the ifindex.
			if len(msg) > t.size && u32(findAttribute(msg[t.size:], nl.XFRMA_OFFLOAD_DEV)) == uint32(to) {
				n++
			}
		}
		if n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, t.what))
		}
	}
	return list, nil
}

// can reports whether the device has an offload feature that is on, or can be switched on.
// Only hardware is asked.
func (ns *Namespace) can(dev netmove.Snapshot, feature string) (bool, error) {
	if dev.Identity.Parent == "" {
		return false, nil
	}
	if family, err := ns.ethtool.family(ns); family == 0 || err != nil {
		return false, err
	}
	b, err := ns.featureBits(dev.Identity.Index)
	if err != nil {
		return false, err
	}
	for _, bit := range b.bits(feature) {
		if f := b.feature(bit); f.On || !f.Fixed {
			return true, nil
		}
	}
	return false, nil
}
