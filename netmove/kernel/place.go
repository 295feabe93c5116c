package kernel

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// placeFlag tells the kernel where to put a route.
func placeFlag(p netmove.Place) int {
	switch p {
	case netmove.PlaceFirst:
		return 0
	case netmove.PlaceLast:
		return unix.NLM_F_APPEND
	}
	return unix.NLM_F_EXCL
}

// beside are dumped routes by what they share that stand beside one another, in the kernel's
// order.
type beside map[string][][]byte

// appendRouteKey appends what a dumped route shares with those beside it: prefix, TOS, metric
// and table.
func appendRouteKey(key, msg []byte) []byte {
	key = append(key, msg[:rtmTable+1]...) // family, lengths, TOS, table
	for _, typ := range [...]uint16{unix.RTA_DST, unix.RTA_SRC, unix.RTA_PRIORITY, unix.RTA_TABLE} {
		value := routeAttribute(msg, typ)
		key = append(append(key, byte(len(value))), value...)
	}
	return key
}

// place finds out where the routes of a device, and of those that are built on it, stand among
// those of all devices.
func (ns *Namespace) place(dev netmove.Snapshot, all beside) error {
	for _, u := range dev.Uppers {
		if err := ns.place(u, all); err != nil {
			return err
		}
	}
	own := map[string]string{} // by message: what it shares
	for _, e := range dev.Entries {
		if e.Table == netmove.TableRoute {
			own[string(e.Message)] = string(appendRouteKey(nil, e.Message))
		}
	}
	near, err := ns.near(own, dev.Identity.Index, all)
	if err != nil {
		return err
	}
	var put []string
	there := func(m string) bool { _, ours := own[m]; return !ours || slices.Contains(put, m) }
	for i, e := range dev.Entries {
		message := string(e.Message)
		key, ours := own[message]
		if !ours {
			continue
		}
		routes := near[key]
		at := slices.Index(routes, message)
		switch {
		case at > 0 && slices.ContainsFunc(routes[:at], there):
			e.Place = netmove.PlaceLast
		case at >= 0 && slices.ContainsFunc(routes[at+1:], there):
			e.Place = netmove.PlaceFirst
		default:
			e.Place = netmove.PlaceAlone
		}
		dev.Entries[i], put = e, append(put, message)
	}
	return nil
}

// near are the routes that stand beside the device's, by what they share: the device's as
// entries' messages, the others as anything else.
func (ns *Namespace) near(own map[string]string, index int, all beside) (map[string][]string, error) {
	near := map[string][]string{}
	for _, key := range own {
		if near[key] != nil {
			continue
		}
		for _, dumped := range all[key] {
			e, _, err := ns.routeEntry(dumped, dumped[0], index)
			if err != nil {
				return nil, err
			}
			near[key] = append(near[key], string(e.Message))
		}
	}
	return near, nil
}
