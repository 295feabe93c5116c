package netmovetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// leave takes from a device what a move loses of its settings.
func leave(d *netmove.Snapshot) {
	d.Entries = slices.DeleteFunc(slices.Clone(d.Entries), func(e netmove.Entry) bool { return !e.Table.Travels() })
	d.Sysctls = maps.Clone(d.Sysctls)
	for name := range d.Sysctls {
		d.Sysctls[name] = "0" // the default where it arrives
	}
	d.Options = slices.DeleteFunc(slices.Clone(d.Options), func(o netmove.Option) bool {
		return strings.Contains(o.Name, netmove.PortOption)
	})
}

// Stubborn makes the kernel refuse to change sysctls, options and entries.
func (w *World) Stubborn(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stubborn = yes
}

// ErrRefused is the answer of a kernel that refuses all changes.
var ErrRefused = errors.New("operation not permitted")

// Refuse makes the kernel refuse all changes of devices but moves.
func (w *World) Refuse(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusing = yes
}

// Busy makes the kernel answer EBUSY to changes of MACs and options.
func (w *World) Busy(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy = yes
}

// Forget has drivers take the MAC of a device that goes up for its permanent one, as igbvf does.
func (w *World) Forget(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgetful = yes
}

// BusyUp does, for devices that are up.
func (w *World) BusyUp(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busyUp = yes
}

// Downs is how often a request has set a device down.
func (w *World) Downs() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.downs
}

// driver runs a request that a driver may refuse.
func (ns *Namespace) driver(d *netmove.Snapshot, f func()) error {
	if ns.world.busy || ns.world.busyUp && d.Flags.Up {
		return netmove.ErrBusy
	}
	f()
	return nil
}

var errStubborn = errors.New("operation not supported")

// setting runs a request that a stubborn kernel refuses.
func (ns *Namespace) setting(index int, f func(*netmove.Snapshot) error) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		if ns.world.stubborn {
			return errStubborn
		}
		return f(d)
	})
}

// SetSysctl sets one.
func (ns *Namespace) SetSysctl(index int, name, value string) error {
	return ns.setting(index, func(d *netmove.Snapshot) error {
		d.Sysctls[name] = value
		return nil
	})
}

// SetOption sets an option.
func (ns *Namespace) SetOption(index int, o netmove.Option) error {
	return ns.setting(index, func(d *netmove.Snapshot) error {
		return ns.driver(d, func() {
			d.Options = slices.DeleteFunc(slices.Clone(d.Options), func(p netmove.Option) bool { return p.Name == o.Name })
			d.Options = append(d.Options, o)
		})
	})
}

// Features reads the features of a device.
func (ns *Namespace) Features(index int) (list map[string]netmove.Feature, err error) {
	err = ns.about(index, func(d *netmove.Snapshot) error {
		list = maps.Clone(ns.world.facts[d.Identity.Inode].Features)
		return nil
	})
	return list, err
}

// SetFeatures switches features that are there and not fixed.
func (ns *Namespace) SetFeatures(index int, features map[string]bool) error {
	return ns.setting(index, func(d *netmove.Snapshot) error {
		facts := ns.world.facts[d.Identity.Inode]
		facts.Features = maps.Clone(facts.Features)
		for name, on := range features {
			if f, ok := facts.Features[name]; !ok || f.Fixed {
				return fmt.Errorf("feature %q: %w", name, errStubborn)
			}
			facts.Features[name] = netmove.Feature{On: on}
			d.Options = slices.DeleteFunc(slices.Clone(d.Options), func(o netmove.Option) bool { return o.Name == featureOption(name) })
			d.Options = append(d.Options, FeatureOption(name, on))
		}
		ns.world.facts[d.Identity.Inode] = facts
		return nil
	})
}

func featureOption(name string) string { return "feature." + name }

// FeatureOption is the option by which a feature is put back: as in the kernel, features
// are options, too.
func FeatureOption(name string, on bool) netmove.Option {
	return netmove.Option{Name: featureOption(name), Value: fmt.Appendf(nil, "%t", on)}
}
