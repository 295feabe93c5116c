package kernel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// backedUp tells of other ports of the device's bridge that have it as their backup port: they
// have none any more when it leaves the bridge (nbp_backup_clear).
func (ns *Namespace) backedUp(dev netmove.Snapshot) ([]string, error) {
	if dev.Master.Kind != "bridge" {
		return nil, nil
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(&nl.IfInfomsg{})
	req.AddData(nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(dev.Master.Index))))
	list, err := gather(ns, req, unix.RTM_NEWLINK, func(list *[]string, msg []byte) error {
		if len(msg) < unix.SizeofIfInfomsg {
			return errors.New("short RTM_NEWLINK")
		}
		attrs := msg[unix.SizeofIfInfomsg:]
		port := findAttribute(findAttribute(attrs, unix.IFLA_LINKINFO), unix.IFLA_INFO_SLAVE_DATA)
		if u32(findAttribute(port, unix.IFLA_BRPORT_BACKUP_PORT)) == uint32(dev.Identity.Index) {
			*list = append(*list, fmt.Sprintf("%s has it as its backup port", unix.ByteSliceToString(findAttribute(attrs, unix.IFLA_IFNAME))))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ports of ifindex %d: %w", dev.Master.Index, classify(err))
	}
	slices.Sort(list)
	return list, nil
}
