package netmove

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Before and after are two Snapshots, which are compared in both directions: what is in
// before and not in after is put back, what is in after and not in before is removed, and
// what the kernel does neither for is a difference that is told. Only parts are compared
// that were read both times.

// Difference is an attribute of a device that is not as meant.
type Difference struct {
	Attribute string `json:"attribute"` // such as "mtu"
	Text      string `json:"text"`      // such as "1500, not 9000"
}

// String is both.
func (d Difference) String() string { return d.Attribute + ": " + d.Text }

// step is one request to the kernel, and the words for it.
type step struct {
	what      string // "set MTU 9000"
	do        func() error
	attribute string // of the device, that it changes
	is        string // what that is now, such as "1500, not 9000"
	minor     bool   // the device is of use without it
	down      bool   // a driver may want the device to be down for it
}

// todo is a list of steps.
type todo []step

// add appends the step for an attribute, if that differs.
func (t *todo) add(differs bool, attribute string, do func() error, what string, args ...any) {
	if differs {
		*t = append(*t, step{what: fmt.Sprintf(what, args...), attribute: attribute, do: do})
	}
}

// addMinor appends the step for an attribute without which the device is of use
// nevertheless.
func (t *todo) addMinor(attribute string, do func() error, what string, args ...any) {
	*t = append(*t, step{what: fmt.Sprintf(what, args...), attribute: attribute, do: do, minor: true})
}

// equal appends the step that gives an attribute its value, if it has another one. The words
// have a verb for the value.
func equal[T comparable](t *todo, attribute string, have, want T, do func() error, what string) {
	if have != want {
		*t = append(*t, step{
			what: fmt.Sprintf(what, want), attribute: attribute, do: do, is: fmt.Sprintf("%v, not %v", have, want),
		})
	}
}

// equalOrDown does, for an attribute that a driver may not change of a device that is up.
func equalOrDown[T comparable](t *todo, attribute string, have, want T, do func() error, what string) {
	before := len(*t)
	equal(t, attribute, have, want, do, what)
	mayWantDown((*t)[before:])
}

// mayWantDown marks steps that a driver may refuse for a device that is up.
func mayWantDown(steps todo) todo {
	for i := range steps {
		steps[i].down = true
	}
	return steps
}

// compareNames compares altnames.
func compareNames(ns Namespace, dev, want Snapshot) (t todo) {
	index := dev.Identity.Index
	for _, alt := range without(dev.Altnames, want.Altnames, same) {
		t = append(t, step{
			what: fmt.Sprintf("drop altname %q", alt), is: fmt.Sprintf("%q, too", alt),
			attribute: "altnames", do: func() error { return ns.DropAltname(index, alt) },
		})
	}
	for _, alt := range without(want.Altnames, dev.Altnames, same) {
		t = append(t, step{
			what: fmt.Sprintf("add altname %q", alt), is: fmt.Sprintf("not %q", alt),
			attribute: "altnames", do: func() error { return ns.AddAltname(index, alt) },
		})
	}
	return t
}

// compareOptions compares options. A value that the driver did not tell (Unknown) is no difference. Those
// that RTM_GETLINK tells are always read, so a snapshot may have more than its parts say.
func compareOptions(ns Namespace, dev, want Snapshot) (t todo) {
	for _, o := range differing(want.Options, dev.Options) {
		if _, told := dev.option(o.Name); want.older() && !told {
			continue // it has another name now
		}
		t.addMinor("option "+o.Name, func() error { return ns.SetOption(dev.Identity.Index, o) }, "set option %s", o.Name)
		t[len(t)-1].is = "not " + o.Value.String()
	}
	if !want.Parts.Has(PartOptions) || !dev.Parts.Has(PartOptions) {
		return t
	}
	for _, o := range added(want.Options, dev.Options) {
		t.addMinor("option "+o.Name, func() error { return errCannotUnset }, "unset option %s", o.Name)
	}
	return t
}

// errCannotUnset is why an option stays that the snapshot has not.
var errCannotUnset = errors.New("the kernel has no request to take it away again")

// differing are the options of want that have other values in have, or none.
func differing(want, have []Option) (list []Option) {
	has := byName(have)
	for _, o := range want {
		is, ok := has[o.Name]
		if same := ok && bytes.Equal(is.Value, o.Value); !same && !o.Unknown && !is.Unknown {
			list = append(list, o)
		}
	}
	return list
}

// added are the options of have that want has not. Of a group that is unknown in want, any
// may have been there.
func added(want, have []Option) (list []Option) {
	had := byName(want)
	for _, o := range have {
		if _, ok := had[o.Name]; !ok && !o.Unknown && !had[o.group()].Unknown {
			list = append(list, o)
		}
	}
	return list
}

func byName(options []Option) map[string]Option {
	m := make(map[string]Option, len(options))
	for _, o := range options {
		m[o.Name] = o
	}
	return m
}

// compareSysctls compares sysctls. Which there are, the kernel alone decides.
func compareSysctls(ns Namespace, dev, want Snapshot) (t todo) {
	index := dev.Identity.Index
	for _, name := range slices.Sorted(maps.Keys(want.Sysctls)) {
		if value := want.Sysctls[name]; dev.Sysctls[name] != value {
			shown := " to " + value
			if strings.HasSuffix(name, "/stable_secret") {
				shown = ""
			}
			t.addMinor(sysctlAttribute+name, func() error { return ns.SetSysctl(index, name, value) }, "set sysctl %s%s", name, shown)
		}
	}
	return t
}

// sysctlAttribute begins what a step that sets a sysctl is about.
const sysctlAttribute = "sysctl "

// compareAddresses compares addresses, and sets the device up between them if it is to be. Since
// order matters (the first IPv4 address of a subnet is the primary one, and source addresses
// are chosen by it), all are put anew unless nothing is to do. Addresses that are not the
// snapshot's were put by the host: a move takes the pod's away.
func compareAddresses(ns Namespace, dev, want Snapshot, now BootOffset) (t todo) {
	index := dev.Identity.Index
	put := want.addressesAfter(time.Duration(now - want.TakenAt))
	var drop []Address
	for _, a := range dev.Addresses {
		if slices.ContainsFunc(put, a.sameKey) {
			drop = append(drop, a)
		}
	}
	if slices.EqualFunc(put, drop, Address.appears) {
		put, drop = nil, nil
	}
	for _, a := range drop {
		t.add(true, "addresses", func() error { return dropAddress(ns, index, a) }, "drop address %s", a)
	}
	return append(t, addressSteps(ns, index, put, want.Flags.Up && !dev.Flags.Up)...)
}

// dropAddress takes an address away, or finds that it went with its primary one.
func dropAddress(ns Namespace, index int, a Address) error {
	if err := ns.DropAddress(index, a); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// addressesAfter are the addresses that somebody gave the device, with the
// lifetimes that are left some time after the snapshot.
func (s Snapshot) addressesAfter(elapsed time.Duration) []Address {
	var list []Address
	for _, a := range s.Addresses {
		if a.madeByKernel() {
			continue
		}
		if a, ok := a.after(elapsed); ok {
			list = append(list, a)
		}
	}
	return list
}

// compareEntries compares entries of tables. What a move takes from a device cannot be the
// pod's at home, and is the host's, but for what a master makes of a port that comes to it: a
// bridge gives it a VLAN, and a static address that is in none is in all of its VLANs.
func compareEntries(ns Namespace, dev, want Snapshot, now BootOffset) (t todo) {
	index := dev.Identity.Index
	for _, e := range missing(dev.Entries, want.Entries) {
		if e.Table.Travels() && !want.older() || e.Port {
			t.addMinor(string(e.Table), func() error { return ns.DropEntry(index, e) }, "drop %s %s", e.Table, e.Text)
		}
	}
	for _, e := range missing(want.entriesAt(now), dev.Entries) {
		if want.older() && e.Table == TableFDB && dev.Identity.Kind == "vxlan" {
			continue // they stand in a table of their own now
		}
		t.addMinor(string(e.Table), func() error { return ns.PutEntry(index, e) }, "add %s %s", e.Table, e.Text)
	}
	return t
}

// without is what of a list is not among those.
func without[T any](list, those []T, same func(T, T) bool) (rest []T) {
	for _, one := range list {
		if !slices.ContainsFunc(those, func(other T) bool { return same(one, other) }) {
			rest = append(rest, one)
		}
	}
	return rest
}

func same(a, b string) bool { return a == b }
