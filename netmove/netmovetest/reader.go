package netmovetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// link is the device as it is read before Fill.
func (ns *Namespace) link(d *netmove.Snapshot) netmove.Snapshot {
	c := ns.copyOf(d)
	c.Parts = netmove.PartLink
	c.Below = ns.below(d)
	c.Addresses, c.Entries, c.Sysctls, c.Programs, c.OthersRoutes, c.TakenAt = nil, nil, nil, nil, nil, 0
	return c
}

// ByName reads a device by name.
func (ns *Namespace) ByName(name string) (s netmove.Snapshot, err error) {
	err = ns.world.do(func() error {
		d := ns.named(name)
		if d == nil {
			return fmt.Errorf("device %q: %w", name, netmove.ErrNotFound)
		}
		s = ns.link(d)
		return nil
	})
	return s, err
}

// Find reads a device by identity.
func (ns *Namespace) Find(id netmove.Identity, _ int) (s netmove.Snapshot, err error) {
	err = ns.world.do(func() error {
		d := ns.identified(id)
		if d == nil {
			return netmove.ErrNotFound
		}
		s = ns.link(d)
		return nil
	})
	return s, err
}

func (ns *Namespace) identified(id netmove.Identity) *netmove.Snapshot {
	for _, d := range ns.devices {
		if d.Identity.Same(id) {
			return d
		}
	}
	return nil
}

// List reads every device.
func (ns *Namespace) List() (list []netmove.Snapshot, err error) {
	err = ns.world.do(func() error {
		for _, index := range slices.Sorted(maps.Keys(ns.devices)) {
			list = append(list, ns.link(ns.devices[index]))
		}
		return nil
	})
	return list, err
}

// Fill reads parts of a device.
func (ns *Namespace) Fill(dev *netmove.Snapshot, parts netmove.Parts) error {
	return ns.world.do(func() error {
		d := ns.devices[dev.Identity.Index]
		if dev.Identity.Inode != 0 {
			d = ns.identified(dev.Identity)
		}
		if d == nil {
			return netmove.ErrNotFound
		}
		now := ns.link(d)
		now.Parts = dev.Parts | parts
		now.Addresses, now.TakenAt, now.Entries, now.Sysctls = dev.Addresses, dev.TakenAt, dev.Entries, dev.Sysctls
		now.Uppers, now.Programs = dev.Uppers, dev.Programs
		all := ns.copyOf(d)
		if parts.Has(netmove.PartAddresses) {
			now.Addresses, now.TakenAt = all.Addresses, all.TakenAt
		}
		if parts.Has(netmove.PartEntries) {
			now.Entries = all.Entries
		}
		if parts.Has(netmove.PartSysctls) {
			now.Sysctls = all.Sysctls
		}
		if !now.Parts.Has(netmove.PartTunFile) {
			hideTunFile(now.Options)
		}
		*dev = now
		return nil
	})
}

// hideTunFile makes options unknown that a tun tells only who attaches to it.
func hideTunFile(options []netmove.Option) {
	for i, o := range options {
		if strings.HasPrefix(o.Name, "tunfile.") {
			options[i] = netmove.Option{Name: o.Name, Unknown: true}
		}
	}
}

// survey tells what was said of devices when they were made.
type survey struct{ ns *Namespace }

// Survey prepares nothing.
func (ns *Namespace) Survey(...netmove.Snapshot) netmove.Survey { return survey{ns} }

// Facts tells it of one device.
func (s survey) Facts(dev *netmove.Snapshot) (f netmove.Facts, err error) {
	err = s.ns.about(dev.Identity.Index, func(d *netmove.Snapshot) error {
		f, dev.OthersRoutes = s.ns.world.facts[d.Identity.Inode], d.OthersRoutes
		return nil
	})
	f.Features = nil // Features reads them
	return f, err
}

// Hardware tells what SetHardware said.
func (ns *Namespace) Hardware(dev netmove.Snapshot) (h netmove.Hardware, err error) {
	err = ns.about(dev.Identity.Index, func(d *netmove.Snapshot) error {
		h = ns.world.hardware[d.Identity.Inode]
		return nil
	})
	return h, err
}

// Routing has a default route through each device that is said to be an uplink.
func (ns *Namespace) Routing() (r netmove.Routing, err error) {
	err = ns.world.do(func() error {
		for _, index := range slices.Sorted(maps.Keys(ns.devices)) {
			if ns.world.facts[ns.devices[index].Identity.Inode].Role.Uplink.Route != "" {
				r.Defaults = append(r.Defaults, netmove.DefaultRoute{Through: []int{index}})
			}
		}
		return nil
	})
	return r, err
}

// Role tells that of one device.
func (s survey) Role(dev *netmove.Snapshot) (netmove.Role, error) {
	f, err := s.Facts(dev)
	return f.Role, err
}

// NameTaken looks among names and altnames.
func (ns *Namespace) NameTaken(name string) (taken bool, err error) {
	err = ns.world.do(func() error {
		taken = ns.named(name) != nil
		return nil
	})
	return taken, err
}

// HasIPv6 reports whether WithoutIPv6 was not called.
func (ns *Namespace) HasIPv6() (has bool, err error) {
	err = ns.world.do(func() error {
		has = !ns.withoutIPv6
		return nil
	})
	return has, err
}

// WithoutIPv6 has the namespace give no device IPv6.
func (ns *Namespace) WithoutIPv6() {
	ns.locked(func() { ns.withoutIPv6 = true })
}

// Demotions tells of every default route of the family that a device has.
func (ns *Namespace) Demotions(ipv6 bool, metric uint32, _ []uint32) (list []netmove.Replacement, err error) {
	err = ns.world.do(func() error {
		for _, index := range slices.Sorted(maps.Keys(ns.devices)) {
			for _, e := range ns.devices[index].Entries {
				if to := e.Route.Dst; e.Table != netmove.TableRoute || !to.IsValid() || to.Bits() != 0 || to.Addr().Is6() != ipv6 {
					continue
				}
				now := e
				now.Text += fmt.Sprintf(" metric %d", metric+1)
				now.Message = []byte(now.Text)
				list = append(list, netmove.Replacement{Index: index, Was: e, Now: now})
			}
		}
		return nil
	})
	return list, err
}

// HasRoute looks for the route on any device.
func (ns *Namespace) HasRoute(r netmove.RouteRequest) (has bool, err error) {
	err = ns.world.do(func() error {
		for _, d := range ns.devices {
			has = has || slices.ContainsFunc(d.Entries, entry(netmove.TableRoute, r).Same)
		}
		return nil
	})
	return has, err
}
