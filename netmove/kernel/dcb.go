package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/dcbnl.h.
const (
	sizeofDcbmsg = 4
	dcbIEEEGet   = 21 // DCB_CMD_IEEE_GET

	dcbIfname       = 1  // DCB_ATTR_IFNAME
	dcbIEEE         = 13 // DCB_ATTR_IEEE
	dcbIEEEAppTable = 3  // DCB_ATTR_IEEE_APP_TABLE
)

// dcbApps tells of the entries for applications that the host has made for the device, which
// the kernel deletes when it leaves (dcbnl_flush_dev). Only hardware has any.
func (ns *Namespace) dcbApps(dev netmove.Snapshot) ([]string, error) {
	if dev.Identity.Parent == "" {
		return nil, nil
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETDCB, 0)
	req.AddRawData([]byte{unix.AF_UNSPEC, dcbIEEEGet, 0, 0}) // struct dcbmsg
	req.AddRawData(nl.NewRtAttr(dcbIfname, nl.ZeroTerminated(dev.Name)).Serialize())
	msgs, err := ns.exchange(req, unix.RTM_GETDCB)
	if answersNone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("DCB of %q: %w", dev.Name, classify(err))
	}
	n := 0
	for _, m := range msgs {
		if len(m) < sizeofDcbmsg {
			return nil, fmt.Errorf("DCB of %q: message of %d bytes", dev.Name, len(m))
		}
		apps, err := parseMessage(findAttribute(findAttribute(m[sizeofDcbmsg:], dcbIEEE), dcbIEEEAppTable), 0)
		if err != nil {
			return nil, err
		}
		n += len(apps.attrs)
	}
	if n == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("%d entries for applications", n)}, nil
}
