package netmovetest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// announcer is what a world knows of announcements.
type announcer struct {
	heard    []string       // by the neighbors
	listen   map[int]func() // who is told of changes
	watchers int            // that have ever been
	failing  int            // announcements from now
	err      error          // of those
}

// Heard lists what neighbors were told, in order: the device's name, and an address.
func (w *World) Heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.announcer.heard)
}

// Watched counts who is told of changes.
func (w *World) Watched() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.announcer.listen)
}

// FailAnnounce makes the next announcements fail, so many of them.
func (w *World) FailAnnounce(times int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.announcer.failing, w.announcer.err = times, err
}

// Change changes a device, as somebody in the namespace does, and tells those who are told of
// changes.
func (ns *Namespace) Change(name string, f func(*netmove.Snapshot)) {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	f(ns.named(name))
	ns.world.announcer.tell()
}

func (a *announcer) tell() {
	for _, changed := range a.listen {
		changed()
	}
}

// Announce has the neighbors hear of the addresses. It is no request that can be made to fail
// by its number, since it is not made in a fixed order with others.
func (ns *Namespace) Announce(index int, addrs []netip.Addr) error {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	d := ns.devices[index]
	if d == nil {
		return fmt.Errorf("ifindex %d: %w", index, netmove.ErrNotFound)
	}
	a := &ns.world.announcer
	if a.failing > 0 {
		a.failing--
		return a.err
	}
	for _, addr := range addrs {
		a.heard = append(a.heard, d.Name+" "+addr.String())
	}
	return nil
}

// WhenChanged calls changed at each Change, in whatever namespace.
func (ns *Namespace) WhenChanged(changed func()) (stop func(), err error) {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	if ns.world.cannotOpen {
		return nil, ErrInjected
	}
	a := &ns.world.announcer
	if a.listen == nil {
		a.listen = map[int]func(){}
	}
	a.watchers++
	number := a.watchers
	a.listen[number] = changed
	return func() {
		ns.world.mu.Lock()
		defer ns.world.mu.Unlock()
		delete(a.listen, number)
	}, nil
}
