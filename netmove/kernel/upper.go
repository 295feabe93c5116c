package kernel

import (
	"errors"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Uppers reads the devices of the namespace that are built on the given one,
// but not its master.
func (ns *Namespace) Uppers(index int) (list []netmove.Snapshot, err error) {
	err = undisturbed(func() error {
		l, err := ns.linkByIndex(index)
		if err == nil {
			list, err = ns.uppersNow(l)
		}
		return err
	})
	return list, err
}

func (ns *Namespace) uppersNow(l link) ([]netmove.Snapshot, error) {
	dir, err := ns.identifyIn(&l)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return ns.uppersOf(l, dir)
}

// uppersOf does for a device whose folder in sysfs is open.
func (ns *Namespace) uppersOf(l link, dir *os.File) ([]netmove.Snapshot, error) {
	names, err := uppers(dir)
	if err != nil {
		return nil, err
	}
	var list []netmove.Snapshot
	for _, name := range names {
		upper, err := ns.ByName(name)
		if errors.Is(err, netmove.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if upper.Identity.Index != l.Master.Index {
			list = append(list, upper)
		}
	}
	return list, nil
}

// Delete deletes a device.
func (ns *Namespace) Delete(index int) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(ifInfo(index))
	_, err := ns.exchange(req, 0)
	return classify(err)
}
