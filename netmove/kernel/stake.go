package kernel

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// stake is what a device has to do with the routes of its node.
type stake struct {
	err    error // why this could not be found out
	index  int   // the device's
	stack  []int // indexes of the device and of those that are built on it
	own    *ownRoutes
	local  uint32 // the table with the routes to its addresses
	others others
	beside beside
}

// routeTable is a table of one family.
type routeTable struct {
	family uint8
	id     uint32
}

// wanted is what is looked for in a table. Of what else is there, nothing is kept.
type wanted struct {
	defaults bool                    // the default routes
	sources  map[netip.Addr][]*stake // the devices that have the address
	keys     map[string]bool         // of the devices' own routes
}

// wantedTables are the tables in which there may be something.
type wantedTables map[routeTable]*wanted

func (w wantedTables) in(family uint8, id uint32) *wanted {
	t := routeTable{family, id}
	if w[t] == nil {
		w[t] = &wanted{sources: map[netip.Addr][]*stake{}, keys: map[string]bool{}}
	}
	return w[t]
}

// nodeRoutes are the routes of a node as far as they decide which devices may move.
type nodeRoutes struct {
	netmove.Routing
	uplinks uplinks
	stakes  map[int]*stake // what devices have to do with the routes, by ifindex
}

// nodeRoutes reads them. It goes once through each table in which there may be something.
func (ns *Namespace) nodeRoutes(devices []netmove.Snapshot) (_ *nodeRoutes, err error) {
	r := &nodeRoutes{stakes: map[int]*stake{}}
	tables, shared := wantedTables{}, beside{}
	if r.Rules, err = ns.Rules(); err != nil {
		return nil, err
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, table := range r.Tables(family == unix.AF_INET6) {
			tables.in(family, table).defaults = true
		}
	}
	own, err := ns.ownRoutes(indexesOf(devices)...)
	if err != nil {
		return nil, err
	}
	for _, dev := range devices {
		index := dev.Identity.Index
		r.stakes[index] = &stake{index: index, stack: stackOf(dev), own: own[index], beside: shared}
		r.stakes[index].err = ns.want(tables, dev, r.stakes[index])
	}
	inOrder := func(a, b routeTable) int { return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.id, b.id)) }
	for _, table := range slices.SortedFunc(maps.Keys(tables), inOrder) {
		defaults, err := ns.find(tables[table], table, shared)
		if err != nil {
			return nil, fmt.Errorf("routes of table %d: %w", table.id, classify(err))
		}
		r.Defaults = append(r.Defaults, defaults...)
	}
	r.uplinks, err = ns.uplinks(r.Routing)
	return r, err
}

// stackOf lists the device and those that are built on it.
func stackOf(dev netmove.Snapshot) []int {
	list := []int{dev.Identity.Index}
	for _, u := range dev.Uppers {
		list = append(list, stackOf(u)...)
	}
	return list
}

func indexesOf(devices []netmove.Snapshot) (list []int) {
	for _, dev := range devices {
		list = append(list, dev.Identity.Index)
	}
	return list
}

// want adds what is looked for on behalf of a device.
func (ns *Namespace) want(tables wantedTables, dev netmove.Snapshot, st *stake) error {
	table, local, err := ns.tablesOf(dev)
	if err != nil {
		return err
	}
	st.local = local
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, addr := range addressesOf(dev, family) {
			// With several prefixes it is there several times.
			if w := tables.in(family, table); !slices.Contains(w.sources[addr], st) {
				w.sources[addr] = append(w.sources[addr], st)
			}
		}
	}
	eachRoute(dev, func(msg []byte) {
		tables.in(msg[0], tableOf(msg)).keys[string(appendRouteKey(nil, msg))] = true
	})
	return nil
}

// eachRoute goes through the static routes of the device and of those that are built on it.
func eachRoute(dev netmove.Snapshot, do func(msg []byte)) {
	for _, e := range dev.Entries {
		if e.Table == netmove.TableRoute {
			do(e.Message)
		}
	}
	for _, u := range dev.Uppers {
		eachRoute(u, do)
	}
}

// found is what is wanted of one table.
type found struct {
	beside   beside
	others   map[*stake]*others
	defaults [][]byte
}

// find goes through a table, and returns the default routes that are wanted.
func (ns *Namespace) find(w *wanted, table routeTable, all beside) (defaults []netmove.DefaultRoute, err error) {
	var key []byte
	filter := routeFilter{family: table.family, table: table.id}
	whole, err := gatherRoutes(ns, filter, func(f *found, msg []byte) error {
		if len(w.keys) > 0 {
			if key = appendRouteKey(key[:0], msg); w.keys[string(key)] {
				f.keep(string(key), msg)
			}
		}
		if w.defaults && isDefaultRoute(msg) {
			f.defaults = append(f.defaults, slices.Clone(msg))
		}
		source, _ := netip.AddrFromSlice(routeAttribute(msg, unix.RTA_PREFSRC))
		for _, st := range w.sources[source] {
			if err := f.of(st).take(msg, source, st); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	maps.Copy(all, whole.beside)
	for st, o := range whole.others {
		st.others.add(*o)
	}
	for _, msg := range whole.defaults {
		d, err := ns.defaultRoute(msg)
		if err != nil {
			return nil, err
		}
		defaults = append(defaults, d)
	}
	return defaults, nil
}

func (f *found) keep(key string, msg []byte) {
	if f.beside == nil {
		f.beside = beside{}
	}
	f.beside[key] = append(f.beside[key], slices.Clone(msg))
}

func (f *found) of(st *stake) *others {
	if f.others == nil {
		f.others = map[*stake]*others{}
	}
	if f.others[st] == nil {
		f.others[st] = &others{count: map[netip.Addr]int{}}
	}
	return f.others[st]
}
