package sandbox

import (
	"reflect"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// wish is one device that a pod wants.
type wish struct {
	netmove.Request

	// reserved is the device that is promised to the pod; nil if the request selects one.
	reserved *journal.Reserved
}

// selecting returns wishes for devices that the requests select.
func selecting(requests []netmove.Request) []wish {
	wishes := make([]wish, len(requests))
	for i, r := range requests {
		wishes[i].Request = r
	}
	return wishes
}

// join returns what a pod wants by its annotation and by its claims, and the claims. An
// entry of the annotation for a pool is served first from the pod's claims: its fields count
// in place of the claim's. The other devices of claims follow on the annotation's.
func (t *Table) join(podUID string, requests []netmove.Request) (wishes []wish, claims []string) {
	var reserved []*journal.Reserved
	for _, r := range t.journal.Reserved(podUID) {
		claims = append(claims, r.Claim.UID)
		for i := range r.Devices {
			reserved = append(reserved, &r.Devices[i])
		}
	}
	wishes = selecting(requests)
	for i, w := range wishes {
		if w.Pool == "" {
			continue
		}
		if j := slices.IndexFunc(reserved, func(d *journal.Reserved) bool { return t.isOf(w.Pool, d) }); j >= 0 {
			wishes[i] = wish{over(w.Request, reserved[j].Wish), reserved[j]}
			reserved = slices.Delete(reserved, j, j+1)
		}
	}
	for _, d := range reserved {
		wishes = append(wishes, wish{d.Wish, d})
	}
	return wishes, claims
}

// isOf reports whether a device that is promised to a pod is of a pool.
func (t *Table) isOf(pool string, d *journal.Reserved) bool {
	p, ok := t.config.Load().Pool(pool)
	if !ok {
		return false
	}
	dev, err := t.mover.Host.Find(d.Identity, d.Identity.Index)
	return err == nil && p.Has(dev)
}

// over returns the request with what it leaves out as in base. It selects no device.
func over(r, base netmove.Request) netmove.Request {
	r.Device, r.Match, r.Pool = "", netmove.Match{}, ""
	to, from := reflect.ValueOf(&r).Elem(), reflect.ValueOf(base)
	for i := range to.NumField() {
		if to.Field(i).IsZero() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return r
}
