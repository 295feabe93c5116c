package sandbox

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// Inventory returns the devices that the node offers to claims, once their generation is
// another one than after, at the latest when longPoll is over or ctx ends. They are the
// devices of pools that some allow rule permits and that can move; those that pods have are
// as they were on the host.
func (t *Table) Inventory(ctx context.Context, after uint64) (claim.Inventory, error) {
	var i claim.Inventory
	err := t.poll(ctx, func() (news bool, err error) {
		t.driver.ask()
		i.Generation, i.Devices, err = t.inventory.update(t.devices)
		return i.Generation != after, err
	})
	return i, err
}

// devices describes the devices that the node offers.
func (t *Table) devices() ([]claim.Device, error) {
	offered, err := t.offered()
	if err != nil {
		return nil, err
	}
	list := []claim.Device{}
	t.forgetHardware(offered)
	for name, o := range offered {
		permitted, err := t.permitted(o)
		if errors.Is(err, netmove.ErrNotFound) {
			continue // it went away meanwhile
		}
		if err != nil {
			return nil, err
		}
		if permitted {
			list = append(list, t.describe(name, o))
		}
	}
	slices.SortFunc(list, func(a, b claim.Device) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// permitted reports whether any pod may have the device.
func (t *Table) permitted(o offer) (bool, error) {
	dev := netmove.Device{Snapshot: o.dev} // one that is away was permitted
	if o.record == nil {
		var err error
		if dev, err = netmove.Read(t.mover.Host, o.dev.Name); err != nil {
			return false, err
		}
		if !dev.Identity.Same(o.dev.Identity) {
			return false, netmove.ErrNotFound
		}
	}
	return len(t.config.Load().Explain(dev).Rules) > 0, nil
}

// describe says what a device is, and what it is doing.
func (t *Table) describe(name string, o offer) claim.Device {
	id := o.dev.Identity
	h := t.hardwareOf(o)
	d := claim.Device{
		Name: name, Pool: o.pool, Interface: o.dev.Name, Kind: id.Kind, Driver: id.DriverName(),
		MAC: o.dev.LastingMAC().String(), MTU: o.dev.MTU, Speed: h.Speed,
		PCIAddress: id.PCIAddress(), PCIeRoot: h.PCIeRoot, NUMANode: h.NUMANode, RDMA: h.RDMA,
		State: claim.Free,
	}
	if r := t.journal.ReservedFor(id); r != nil {
		d.State, d.Claim = claim.Reserved, r.Claim.UID
	}
	if o.record != nil {
		d.State, d.Problem = stateOf(o.record, o.dev)
	}
	return d
}

// hardwareOf returns what was last read of the device's hardware on the host. After a
// restart that is nothing as long as the device is away.
func (t *Table) hardwareOf(o offer) (h netmove.Hardware) {
	key := o.dev.Identity.RecognisableName()
	if o.record == nil {
		if now, err := t.mover.Host.Hardware(o.dev); err == nil {
			t.hardware.change(key, func(known *netmove.Hardware) { *known = now })
		}
	}
	t.hardware.look(key, func(known *netmove.Hardware) { h = *known })
	return h
}

// forgetHardware forgets devices that are not offered any more.
func (t *Table) forgetHardware(offered map[string]offer) {
	known := map[string]bool{}
	for _, o := range offered {
		known[o.dev.Identity.RecognisableName()] = true
	}
	for _, key := range t.hardware.keys() {
		if !known[key] {
			t.hardware.drop(key)
		}
	}
}

// stateOf says what a device of a record is doing.
func stateOf(r *journal.Record, dev netmove.Snapshot) (state claim.State, problem string) {
	is := among([]netmove.Identity{dev.Identity})
	p := r.Problems[dev.Name]
	switch {
	case slices.ContainsFunc(r.Lost, is):
		return claim.Lost, p.Text
	case slices.ContainsFunc(r.Quarantined, is):
		return claim.Quarantined, p.Text
	case p.Misnamed:
		return claim.Misnamed, p.Text
	}
	return claim.InUse, p.Text
}

// Claims returns what has become of the claims that are prepared, once their generation is
// another one than after, at the latest when longPoll is over or ctx ends.
func (t *Table) Claims(ctx context.Context, after uint64) (claim.Statuses, error) {
	var s claim.Statuses
	err := t.poll(ctx, func() (news bool, err error) {
		s.Generation, s.Claims, err = t.claims.update(t.claimStatuses)
		return s.Generation != after, err
	})
	return s, err
}

func (t *Table) claimStatuses() ([]claim.Status, error) {
	list := []claim.Status{}
	for _, r := range t.journal.Reservations() {
		s := claim.Status{UID: r.Claim.UID, Namespace: r.Claim.Namespace, Name: r.Claim.Name}
		for _, d := range r.Devices {
			s.Devices = append(s.Devices, t.deviceStatus(r, d))
		}
		list = append(list, s)
	}
	return list, nil
}

// deviceStatus says what has become of a device that is promised to a pod.
func (t *Table) deviceStatus(res *journal.Reservation, d journal.Reserved) claim.DeviceStatus {
	s := claim.DeviceStatus{Request: d.Request, Pool: d.Pool, Device: d.Device}
	for _, r := range t.journal.All() {
		if r.Pod.UID != res.Pod.UID || !r.Has(d.Identity) {
			continue
		}
		s.Problem = r.Problems[d.HostName].Text
		a, there := attachmentOf(r, d.Identity)
		if !there || r.State != journal.Attached {
			continue
		}
		s.Problem = r.Problems[a.Before.Name].Text
		s.Ready, s.Interface = s.Problem == "", a.PodName
		s.MAC = a.Before.MAC.String()
		if a.Request.MAC != nil {
			s.MAC = a.Request.MAC.String()
		}
		for _, addr := range a.Addresses {
			s.IPs = append(s.IPs, addr.Local.String())
		}
		if s.Ready && len(a.Differences) > 0 {
			s.Problem = "not all is as meant: " + a.Differences[0].Attribute + ": " + a.Differences[0].Text
		}
		return s
	}
	return s
}
