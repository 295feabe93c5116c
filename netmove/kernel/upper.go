package kernel

import (
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Uppers reads the devices of the namespace that are built on the given one,
// but not its master.
func (ns *Namespace) Uppers(dev netmove.Snapshot) (list []netmove.Snapshot, err error) {
	l := link{Device: netmove.Device{Snapshot: dev}}
	err = undisturbed(func() error {
		names, err := ns.upperNames(&l)
		if errors.Is(err, errRaced) { // it has another name now
			if l, err = ns.again(dev); err == nil {
				err = errRaced
			}
		}
		if err != nil {
			return err
		}
		list = nil
		for _, name := range names {
			upper, err := ns.ByName(name)
			if errors.Is(err, netmove.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if upper.Identity.Index != l.Master.Index {
				list = append(list, upper)
			}
		}
		return nil
	})
	return list, err
}

func (ns *Namespace) upperNames(l *link) ([]string, error) {
	dir, err := ns.identifyIn(l)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return uppers(dir)
}

// Delete deletes a device.
func (ns *Namespace) Delete(index int) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(ifInfo(index))
	_, err := ns.exchange(req, 0)
	return classify(err)
}
