package kernel

import (
	"slices"
	"strings"

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

// place finds out where the device's routes stand among those of all devices. The kernel
// tells a table in its order, and filters by no prefix: routes of a family are read only
// if the device has some.
func (ns *Namespace) place(list []netmove.Entry, index int) error {
	own := map[string]string{} // by message: what it shares with those beside it
	for _, e := range list {
		msg, err := parseMessage(e.Message, unix.SizeofRtMsg)
		if err != nil {
			return err
		}
		own[string(e.Message)] = msg.routeKey()
	}
	beside, err := ns.beside(own, index)
	if err != nil {
		return err
	}
	var put []string
	for i, e := range list {
		message := string(e.Message)
		there := func(m string) bool { _, ours := own[m]; return !ours || slices.Contains(put, m) }
		all := beside[own[message]]
		at := slices.Index(all, message)
		switch {
		case at > 0 && slices.ContainsFunc(all[:at], there):
			list[i].Place = netmove.PlaceLast
		case at >= 0 && slices.ContainsFunc(all[at+1:], there):
			list[i].Place = netmove.PlaceFirst
		}
		put = append(put, message)
	}
	return nil
}

// beside reads the routes that share prefix, metric and table with some of the device's, in
// the kernel's order: the device's as entries' messages, the others as anything else.
func (ns *Namespace) beside(own map[string]string, index int) (map[string][]string, error) {
	wanted, families, headers := map[string]bool{}, map[uint8]bool{}, map[string]bool{}
	for message, key := range own {
		wanted[key], families[message[0]], headers[message[:routeHeader]] = true, true, true
	}
	all := map[string][]string{}
	for family := range families {
		filter := message{fixed: make([]byte, unix.SizeofRtMsg)}
		filter.fixed[0] = family
		msgs, err := ns.dumpOf(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, filter.bytes())
		if err != nil {
			return nil, err
		}
		for _, dumped := range msgs {
			if len(dumped) < routeHeader || !headers[string(dumped[:routeHeader])] {
				continue // to take a message apart costs more
			}
			msg, err := parseMessage(dumped, unix.SizeofRtMsg)
			if err != nil {
				return nil, err
			}
			if key := msg.routeKey(); wanted[key] {
				e, _, err := ns.routeEntry(dumped, family, index)
				if err != nil {
					return nil, err
				}
				all[key] = append(all[key], string(e.Message))
			}
		}
	}
	return all, nil
}

// routeHeader is the size of the first fields of struct rtmsg: family, lengths, TOS, table.
const routeHeader = 5

// routeKey is what routes share that stand beside one another: prefix, TOS, metric and table.
func (m *message) routeKey() string {
	var b strings.Builder
	b.Write(m.fixed[:routeHeader])
	for _, typ := range []uint16{unix.RTA_DST, unix.RTA_SRC, unix.RTA_PRIORITY, unix.RTA_TABLE} {
		value := m.attribute(typ)
		b.WriteByte(byte(len(value)))
		b.Write(value)
	}
	return b.String()
}
