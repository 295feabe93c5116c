package netmove

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// An address is announced three times, since frames get lost while a switch learns, over a
// second.
const (
	announceTimes = 3
	announcePause = 500 * time.Millisecond
)

// lookPause is the least time between a change in the pod's namespace and the next look: a pod
// may change something all the time.
const lookPause = 50 * time.Millisecond

// Sysctls that have the kernel itself announce addresses: one of the first does so when the
// device goes up, and is not heard if the carrier comes later; one of the second does so when
// duplicate address detection ends, which is not done for addresses in a pod (addressSteps).
const (
	arpNotify   = "ipv4/arp_notify"
	ndiscNotify = "ipv6/ndisc_notify"
)

// announcement is an address that the neighbors are to be told of.
type announcement struct {
	addr netip.Addr
	left int // how often
}

// Announces reports whether the neighbors are to be told of an address of the device.
func (a *Attachment) Announces() bool { return len(a.announcements()) > 0 }

// announcements are the addresses in the pod that the neighbors are to be told of.
func (a *Attachment) announcements() []announcement {
	var list []announcement
	for _, addr := range a.Addresses {
		if times := a.Request.announceTimes(addr); times > 0 {
			list = append(list, announcement{addr.Local.Addr(), times})
		}
	}
	return list
}

// announceTimes is how often the neighbors are told of the address.
func (r Request) announceTimes(a Address) int {
	notify := arpNotify
	if a.IsIPv6() {
		notify = ndiscNotify
	}
	switch {
	case r.Announce != nil && *r.Announce, r.Announce == nil && r.Addresses != nil:
		return announceTimes
	case r.Sysctls[notify] == "1":
		return 1
	}
	return 0
}

// Announce tells the neighbors of a device in a pod which addresses the device has there, as soon
// as it has a carrier. It returns when they have been told, or when ctx ends. That the pod has
// the device or the address no more is no error.
func (m *Mover) Announce(ctx context.Context, pod Namespace, a *Attachment) error {
	changed := make(chan struct{}, 1)
	stop, err := pod.WhenChanged(func() {
		select {
		case changed <- struct{}{}:
		default: // the next look sees this change, too
		}
	})
	if err != nil {
		return err
	}
	defer stop()
	r := &announcing{Mover: m, pod: pod, of: a, left: a.announcements()}
	for {
		told, err := r.round()
		if len(r.left) == 0 {
			return err
		}
		if told {
			wait(ctx, time.After(announcePause))
		} else {
			wait(ctx, changed)
			wait(ctx, time.After(lookPause))
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// wait waits for c, or for the end of ctx.
func wait[T any](ctx context.Context, c <-chan T) {
	select {
	case <-ctx.Done():
	case <-c:
	}
}

// announcing is what is left to be announced of one device.
type announcing struct {
	*Mover
	pod  Namespace
	of   *Attachment
	left []announcement
}

// round announces the addresses that are ready for it, and reports whether there were any. After
// an error the next round may do better, if something is left.
func (r *announcing) round() (told bool, err error) {
	dev := Snapshot{Identity: r.of.Before.Identity}
	dev.Identity.Index = r.of.PodIndex
	if err := r.pod.Fill(&dev, PartAddresses); err != nil {
		return false, r.end(err)
	}
	ready := r.ready(dev)
	if len(ready) == 0 {
		return false, nil
	}
	err = r.pod.Announce(dev.Identity.Index, ready)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoNeighbors) {
		return false, r.end(err)
	}
	r.Log.Debug("addresses announced", "device", r.of.Before.Name, "addresses", ready, "err", err)
	return true, err
}

// end leaves nothing to be announced. It returns err if that is of interest to anybody.
func (r *announcing) end(err error) error {
	r.left = nil
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoNeighbors) {
		r.Log.Debug("no addresses are announced any more", "device", r.of.Before.Name, "why", err)
		return nil
	}
	return err
}

// ready takes once off the list what can be announced now, and for good what the device has no
// more and what another node has.
func (r *announcing) ready(dev Snapshot) (addrs []netip.Addr) {
	left := r.left[:0]
	for _, one := range r.left {
		a, has := dev.address(one.addr)
		if !has || a.refused() {
			continue
		}
		if dev.Running && a.Flags&FlagTentative == 0 {
			addrs = append(addrs, one.addr)
			one.left--
		}
		if one.left > 0 {
			left = append(left, one)
		}
	}
	r.left = left
	return addrs
}

// address is the device's address with that local part.
func (s Snapshot) address(local netip.Addr) (a Address, ok bool) {
	i := slices.IndexFunc(s.Addresses, func(a Address) bool { return a.Local.Addr() == local })
	if i < 0 {
		return Address{}, false
	}
	return s.Addresses[i], true
}
