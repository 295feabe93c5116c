package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// offer is a device of a pool, as it is on the host or was before it went away.
type offer struct {
	dev    netmove.Snapshot
	pool   string
	record *journal.Record // that has the device; nil if it is on the host
	lost   bool
}

// offered returns the devices of pools by the names that the scheduler knows them by.
func (t *Table) offered() (map[string]offer, error) {
	here, err := t.mover.Host.List()
	if err != nil {
		return nil, err
	}
	var all []offer
	add := func(dev netmove.Snapshot, r *journal.Record, lost bool) {
		if pool, ok := t.config.Load().PoolOf(dev); ok {
			all = append(all, offer{dev, pool.Name, r, lost})
		}
	}
	held := map[uint64]bool{}
	for _, r := range t.journal.All() {
		for _, a := range r.All() {
			add(a.Before, r, slices.ContainsFunc(r.Lost, same(a)))
			held[a.Before.Identity.Inode] = true
		}
	}
	for _, dev := range here {
		if !held[dev.Identity.Inode] {
			add(dev, nil, false)
		}
	}
	byName := make(map[string]offer, len(all))
	for i, name := range offerNames(all) {
		byName[name] = all[i]
	}
	return byName, nil
}

// offerNames returns a name for each device that only it has, and that is a DNS label: by
// its PCI address, else by its name on the host. Devices that would have the same name have
// their recognisable names, and so has a lost one whose name another device has by now.
func offerNames(all []offer) []string {
	names := make([]string, len(all))
	count := map[string]int{}
	for i, o := range all {
		names[i] = offerName(o.dev)
		if !o.lost {
			count[names[i]]++
		}
	}
	for i, o := range all {
		if n := count[names[i]]; n > 1 || n == 1 && o.lost {
			names[i] = o.dev.Identity.RecognisableName()
		}
	}
	return names
}

func offerName(dev netmove.Snapshot) string {
	if pci := dev.Identity.PCIAddress(); pci != "" {
		return "pci-" + strings.NewReplacer(":", "-", ".", "-").Replace(pci)
	}
	var b strings.Builder
	for _, c := range []byte(dev.Name) {
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "-%02x", c)
		}
	}
	return "net-" + b.String()
}
