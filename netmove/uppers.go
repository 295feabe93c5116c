package netmove

import (
	"errors"
	"time"
)

// mend puts back what the kernel has taken from the host's devices that are
// built on one that was away. A VLAN goes down with the device below it, and loses
// IPv6 addresses and routes; MTUs are cut to that of the device below, and that
// forgets which multicast addresses they want. They were the host's all the time,
// which may have changed them: what is missing is added, and nothing else is touched.
// It returns what could not be done.
func (m *Mover) mend(lower Snapshot) []*StepError {
	return append(m.mendOn(lower, lower, lower.Flags.Up), m.mendRoutes(lower)...)
}

// mendOn mends what is built on lower. A device that is down, as one below it may
// be, has given them nothing back.
func (m *Mover) mendOn(device, lower Snapshot, up bool) (left []*StepError) {
	for _, upper := range lower.Uppers {
		left = append(left, m.mendOne(device, lower, upper, up)...)
		left = append(left, m.mendOn(device, upper, up && upper.Flags.Up)...)
	}
	return left
}

func (m *Mover) mendOne(device, lower, want Snapshot, up bool) []*StepError {
	failed := failures{}
	for pass := 1; ; pass++ {
		steps, err := m.lookToMend(lower, want, up)
		if errors.Is(err, ErrNotFound) {
			return nil // the host has removed it, or a pod has it
		}
		if err != nil {
			return []*StepError{{Device: device.Name, Step: "look at " + want.Name, Attribute: "uppers", Err: err}}
		}
		if pass > restorePasses || len(steps) == 0 {
			return failed.of(device.Name, steps).minor
		}
		m.runAll(device.Name, steps, failed)
	}
}

func (m *Mover) lookToMend(lower, want Snapshot, up bool) ([]step, error) {
	below, err := m.Host.Find(lower.Identity, lower.Identity.Index)
	if err != nil {
		return nil, err
	}
	dev, err := m.Host.Find(want.Identity, want.Identity.Index)
	if err == nil {
		err = m.Host.Fill(&dev, upperParts)
	}
	if err != nil {
		return nil, err
	}
	has, err := m.Host.Groups(below.Identity.Index)
	if err != nil {
		return nil, err
	}
	wants, err := m.Host.Groups(dev.Identity.Index)
	if err != nil {
		return nil, err
	}
	steps := m.mendSteps(dev, want, up)
	for _, g := range missing(wants, has) {
		if up && dev.Flags.Up && below.Identity.filters() {
			steps.addMinor("", func() error { return m.Host.PutEntry(below.Identity.Index, g) }, "listen to %s", g.Text)
		}
	}
	for i := range steps {
		steps[i].what, steps[i].attribute, steps[i].minor = want.Name+": "+steps[i].what, "uppers", true
	}
	return steps, nil
}

// mendSteps are what the device lacks, and what it shares with those that the pod built
// beside it.
func (m *Mover) mendSteps(dev, want Snapshot, up bool) todo {
	host, index := m.Host, dev.Identity.Index
	var t todo
	t.add(dev.MTU < want.MTU, "", func() error { return host.SetMTU(index, want.MTU) }, "set MTU %d", want.MTU)
	t = append(t, compareOptions(host, dev.options(Option.shared), want.options(Option.shared))...)
	if up {
		t.add(dev.Flags.Up && !want.Flags.Up, "", func() error { return host.SetUp(index, false) }, "set down")
		t = append(t, addressSteps(host, index, lost(want, dev.Addresses, m.Now()), want.Flags.Up && !dev.Flags.Up)...)
		for _, e := range missing(want.entriesAt(m.Now()), dev.Entries) {
			t.add(true, "", func() error { return host.PutEntry(index, e) }, "add %s %s", e.Table, e.Text)
		}
	}
	return t
}

// lost are the addresses of the snapshot that are not among those, or that were
// put there and not settled (addressSteps).
func lost(s Snapshot, have []Address, now BootOffset) []Address {
	there := func(a, b Address) bool { return a.sameKey(b) && b.Flags&^a.Flags&FlagNoDAD == 0 }
	return without(s.addressesAfter(time.Duration(now-s.TakenAt)), have, there)
}
