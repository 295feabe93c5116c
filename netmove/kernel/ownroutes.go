package kernel

import (
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// ownRoutes is what the routes through a device are to the node.
type ownRoutes struct {
	nexthops map[uint32]bool // the objects that they go through, by id
	split    told            // those that go through other devices as well, and are lost as a whole
}

// ownRoutes reads those of devices, by ifindex. The kernel finds the routes of one device, for
// which it goes through all; for several, that is done once.
func (ns *Namespace) ownRoutes(indexes ...int) (map[int]*ownRoutes, error) {
	whole := map[int]*ownRoutes{}
	if len(indexes) == 0 {
		return whole, nil
	}
	filter, carriers := routeFilter{}, func([]int, []byte) []int { return indexes }
	if len(indexes) == 1 {
		filter.index = indexes[0]
	} else {
		objects, err := ns.nexthopCarriers()
		if err != nil {
			return nil, err
		}
		carriers = objects.append
	}
	for _, index := range indexes {
		ownIn(&whole, index)
	}
	var list []int
	for _, filter.family = range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := gatherRoutes(ns, filter, func(found *map[int]*ownRoutes, msg []byte) error {
			list = carriers(list[:0], msg)
			for _, index := range list {
				if whole[index] != nil {
					ownIn(found, index).take(msg, index)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("routes of ifindex %d: %w", indexes, classify(err))
		}
		for index, own := range found {
			whole[index].add(own)
		}
	}
	return whole, nil
}

// ownIn is where what is found of a device goes.
func ownIn(found *map[int]*ownRoutes, index int) *ownRoutes {
	if *found == nil {
		*found = map[int]*ownRoutes{}
	}
	if (*found)[index] == nil {
		(*found)[index] = &ownRoutes{nexthops: map[uint32]bool{}}
	}
	return (*found)[index]
}

func (o *ownRoutes) take(msg []byte, index int) {
	if id := routeAttribute(msg, rtaNHID); id != nil {
		o.nexthops[u32(id)] = true
		return
	}
	// The kernel deletes an IPv4 route with the device of any of its legs (fib_sync_down_dev).
	if msg[0] == unix.AF_INET && hasLeg(msg, func(hop leg) bool { return hop.index() != index }) {
		o.split.add(func() string { return fmt.Sprintf("%s goes through other devices as well", prefixOf(msg)) })
	}
}

// add adds those of another family.
func (o *ownRoutes) add(more *ownRoutes) {
	o.split.addAll(more.split)
	maps.Copy(o.nexthops, more.nexthops)
}

// nexthopCarriers are the ifindexes of the devices that carry nexthop objects, by the objects'
// ids.
type nexthopCarriers map[uint32][]int

// append appends the devices that carry a dumped route, each once. By which devices one with a
// nexthop object goes, the kernel need not tell (nexthop_compat_mode).
func (c nexthopCarriers) append(list []int, msg []byte) []int {
	if id := routeAttribute(msg, rtaNHID); id != nil {
		return append(list, c[u32(id)]...)
	}
	if oif := routeAttribute(msg, unix.RTA_OIF); oif != nil {
		return append(list, int(u32(oif)))
	}
	hasLeg(msg, func(hop leg) bool {
		list = append(list, hop.index())
		return false
	})
	slices.Sort(list)
	return slices.Compact(list)
}
