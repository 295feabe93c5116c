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

// devices describes the devices that the node offers. One call at a time does so.
func (t *Table) devices() ([]claim.Device, error) {
	offered, err := t.offered()
	if err != nil {
		return nil, err
	}
	if err := t.looked.begin(t, offered); err != nil {
		return nil, err
	}
	if err := t.lookAt(offered); err != nil {
		return nil, err
	}
	list := []claim.Device{}
	for name, o := range offered {
		if t.permitted(o) {
			list = append(list, t.describe(name, o))
		}
	}
	slices.SortFunc(list, func(a, b claim.Device) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// lookAt reads the devices on the host that have changed since the last look.
func (t *Table) lookAt(offered map[string]offer) error {
	var stale []offer
	var names []string
	for _, o := range offered {
		if o.record == nil && !t.looked.knows(o.dev) {
			stale, names = append(stale, o), append(names, o.dev.Name)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	devices, errs := netmove.ReadEach(t.mover.Host, names...)
	for i, o := range stale {
		switch {
		case errors.Is(errs[i], netmove.ErrNotFound), errs[i] == nil && !devices[i].Identity.Same(o.dev.Identity): // it went away meanwhile
		case errs[i] != nil:
			return errs[i]
		default:
			t.looked.devices[o.dev.Identity.RecognisableName()] = lookedAt{o.dev, t.permits(devices[i])}
		}
	}
	return nil
}

// permitted reports whether any pod may have the device. One that is away was permitted.
func (t *Table) permitted(o offer) bool {
	if o.record != nil {
		return t.permits(netmove.Device{Snapshot: o.dev})
	}
	return t.looked.knows(o.dev) && t.looked.devices[o.dev.Identity.RecognisableName()].permitted
}

// permits reports whether some allow rule permits the device, and nothing forbids it.
func (t *Table) permits(dev netmove.Device) bool { return len(t.config.Load().Explain(dev).Rules) > 0 }

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
func (t *Table) hardwareOf(o offer) netmove.Hardware {
	key := o.dev.Identity.RecognisableName()
	if o.record == nil {
		if now, err := t.mover.Host.Hardware(o.dev); err == nil {
			t.looked.hardware[key] = now
		}
	}
	return t.looked.hardware[key]
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
