package kernel

import (
	"os"

	"golang.org/x/sys/unix"
)

// netnsLocal is the feature by which Linux before 6.12 tells that it binds a device to its
// namespace.
const netnsLocal = "netns-local"

// readBound fills in that the kernel binds the device to its namespace, where RTM_GETLINK does
// not tell it. Linux 6.12 and 6.13 tell it nowhere: wlan and the masters of failover are known
// by what they have in sysfs.
func (ns *Namespace) readBound(l *link, dir *os.File) error {
	if l.toldBound || l.Role.Immovable {
		return nil
	}
	if unix.Faccessat(int(dir.Fd()), "phy80211", unix.F_OK, 0) == nil {
		l.Role.Immovable = true
		return nil
	}
	if below, err := adjacent(dir, "lower_"); err != nil || len(below) > 0 && l.Identity.Driver == "virtio_net" {
		l.Role.Immovable = err == nil
		return err
	}
	if family, err := ns.ethtool.family(ns); family == 0 || err != nil {
		return err
	}
	b, err := ns.featureBits(l.Identity.Index)
	if is(err, unix.EOPNOTSUPP) {
		return nil
	}
	for _, bit := range b.bits(netnsLocal) {
		l.Role.Immovable = l.Role.Immovable || b.feature(bit).On
	}
	return err
}
