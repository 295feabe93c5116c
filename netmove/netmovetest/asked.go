package netmovetest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Features reads the features of a device.
func (ns *Namespace) Features(index int) (list map[string]netmove.Feature, err error) {
	err = ns.set(index, func(d *netmove.Snapshot) { list = maps.Clone(ns.world.facts[d.Identity.Inode].Features) })
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

// AddRoute makes a route.
func (ns *Namespace) AddRoute(index int, r netmove.RouteRequest) error {
	return ns.PutEntry(index, entry(netmove.TableRoute, r))
}

// AddNeighbor makes a neighbor.
func (ns *Namespace) AddNeighbor(index int, n netmove.NeighborRequest) error {
	return ns.PutEntry(index, entry(netmove.TableNeighbor, n))
}

func entry(table netmove.Table, what fmt.Stringer) netmove.Entry {
	return netmove.Entry{Table: table, Text: what.String(), Message: []byte(what.String())}
}

// AddRule makes a rule of the namespace's.
func (ns *Namespace) AddRule(r netmove.RuleRequest) error {
	return ns.world.do(func() error {
		if slices.Contains(ns.rules, r) {
			return netmove.ErrExists
		}
		ns.rules = append(ns.rules, r)
		return nil
	})
}

// HasRule looks for a rule.
func (ns *Namespace) HasRule(r netmove.RuleRequest) (has bool, err error) {
	err = ns.world.do(func() error {
		has = slices.Contains(ns.rules, r)
		return nil
	})
	return has, err
}

// DropRule removes a rule.
func (ns *Namespace) DropRule(r netmove.RuleRequest) error {
	return ns.world.do(func() error {
		if !slices.Contains(ns.rules, r) {
			return netmove.ErrNotFound
		}
		ns.rules = slices.DeleteFunc(slices.Clone(ns.rules), func(s netmove.RuleRequest) bool { return r == s })
		return nil
	})
}

// HoldProgram counts who holds programs.
func (w *World) HoldProgram(netmove.Program) (io.Closer, error) {
	return holder{w}, w.do(func() error {
		w.holders++
		return nil
	})
}

// Holders is how many programs are held.
func (w *World) Holders() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holders
}

type holder struct{ world *World }

// Close lets go of a program.
func (h holder) Close() error {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	h.world.holders--
	if h.world.closeFails {
		return ErrInjected
	}
	return nil
}

// Reattach attaches a program again, of which the world keeps all there ever were.
func (ns *Namespace) Reattach(index int, p netmove.Program) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		if ns.world.held[d.Identity.Inode] {
			return errors.New("the program is held")
		}
		d.Programs = append(slices.Clone(d.Programs), netmove.Program{Hook: p.Hook, ID: p.ID})
		return nil
	})
}
