package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What package unix lacks of linux/if_bridge.h.
const (
	sizeofBrPortMsg = 8 // struct br_port_msg
	brPortIfindex   = 4 // offset in it

	sizeofMDBEntry = 28 // struct br_mdb_entry
	mdbState       = 4  // offsets
	mdbFlags       = 5
	mdbVID         = 6
	mdbAddr        = 8
	mdbProto       = 24
	mdbPermanent   = 1 // MDB_PERMANENT

	mdbaMDB           = 1 // MDBA_MDB
	mdbaEntry         = 1 // MDBA_MDB_ENTRY
	mdbaEntryInfo     = 1 // MDBA_MDB_ENTRY_INFO
	mdbaSetEntry      = 1 // MDBA_SET_ENTRY
	mdbaSetEntryAttrs = 2 // MDBA_SET_ENTRY_ATTRS

	mdbeSource    = 1 // MDBE_ATTR_SOURCE
	mdbeSourceSet = 2 // MDBE_ATTR_SRC_LIST
	mdbeMode      = 3 // MDBE_ATTR_GROUP_MODE
	mdbeProtocol  = 4 // MDBE_ATTR_RTPROT
	mdbeDst       = 5 // MDBE_ATTR_DST
	mdbeSourceVNI = 9 // MDBE_ATTR_SRC_VNI
)

// mdbAttributes are the attributes of an entry as they are told (MDBA_MDB_EATTR_*), and
// as they are asked for (MDBE_ATTR_*).
func mdbAttributes() map[uint16]uint16 {
	return map[uint16]uint16{2: mdbeSourceSet, 3: mdbeMode, 4: mdbeSource, 5: mdbeProtocol, 6: mdbeDst, 7: 6, 8: 7, 9: 8, 10: mdbeSourceVNI}
}

// mdb reads the multicast groups that somebody has made the device a port of, of its bridge.
func (ns *Namespace) mdb(dev *link) ([]netmove.Entry, error) {
	if !isBridgePort(dev.Snapshot) {
		return nil, nil
	}
	list, err := ns.groups(dev, dev.Master.Index, netmove.TableMDB)
	for i := range list {
		list[i].Port = true
	}
	return list, err
}

// vxlanMDB reads where a vxlan sends multicast groups to.
func (ns *Namespace) vxlanMDB(dev *link) ([]netmove.Entry, error) {
	if dev.Identity.Kind != vxlanKind {
		return nil, nil
	}
	return ns.groups(dev, dev.Identity.Index, netmove.TableVXLANMDB)
}

// groups reads the entries for the device that the owner, a bridge or a vxlan, has. The
// kernel filters these by nothing.
func (ns *Namespace) groups(dev *link, owner int, table netmove.Table) ([]netmove.Entry, error) {
	filter := mdbMessage(0)
	dumped, err := ns.dumpOf(unix.RTM_GETMDB, 0, filter.bytes()) // a bridge answers as RTM_GETMDB, a vxlan as RTM_NEWMDB
	if is(err, unix.EOPNOTSUPP) {
		return nil, nil // a kernel without bridges
	}
	if err != nil {
		return nil, err
	}
	var list, ofSource []netmove.Entry
	for _, d := range dumped {
		if len(d) < sizeofBrPortMsg || int(u32(d[brPortIfindex:])) != owner {
			continue
		}
		found, err := mdbEntries(d)
		if err != nil {
			return nil, err
		}
		for _, g := range found {
			if int(u32(g.fixed)) != dev.Identity.Index || g.fixed[mdbState]&mdbPermanent == 0 {
				continue
			}
			if p := g.attribute(mdbeProtocol); table == netmove.TableMDB && len(p) == 1 && madeByProgram(p[0]) {
				continue
			}
			e := netmove.Entry{Table: table, Text: mdbText(g), Message: mdbRequest(g)}
			if g.attribute(mdbeSource) != nil { // may be one that the kernel makes of a group's list
				ofSource = append(ofSource, e)
			} else {
				list = append(list, e)
			}
		}
	}
	return append(list, ofSource...), nil
}

func mdbMessage(owner int) message {
	msg := message{fixed: make([]byte, sizeofBrPortMsg)}
	msg.fixed[0] = unix.AF_BRIDGE
	binary.NativeEndian.PutUint32(msg.fixed[brPortIfindex:], uint32(owner))
	return msg
}

// mdbEntries are the entries of a dumped message: struct br_mdb_entry, with attributes as
// they are asked for.
func mdbEntries(dumped []byte) (list []message, err error) {
	outer, err := parseMessage(dumped, sizeofBrPortMsg)
	if err != nil {
		return nil, err
	}
	all, err := parseMessage(outer.attribute(mdbaMDB), 0)
	if err != nil {
		return nil, err
	}
	for _, group := range all.attrs {
		ports, err := parseMessage(group.Value, 0)
		if err != nil {
			return nil, err
		}
		for _, port := range ports.attrs {
			told, err := parseMessage(port.Value, sizeofMDBEntry)
			if err != nil {
				return nil, err
			}
			g, err := asked(told)
			if err != nil {
				return nil, err
			}
			list = append(list, g)
		}
	}
	return list, nil
}

// asked makes of an entry that is told one as it is asked for: without what the kernel takes
// for granted, which older ones do not know.
func asked(told message) (message, error) {
	g := message{fixed: told.fixed}
	known := mdbAttributes()
	for _, a := range told.attrs {
		typ, value := known[a.Attr.Type&nl.NLA_TYPE_MASK], a.Value
		switch {
		case typ == 0, typ == mdbeProtocol && value[0] == unix.RTPROT_STATIC:
			continue
		case typ == mdbeSourceSet:
			sources, err := withoutTimers(value)
			if err != nil {
				return g, err
			}
			typ, value = unix.NLA_F_NESTED|typ, sources
		}
		g.add(typ, value)
	}
	if g.attribute(mdbeSourceSet) == nil {
		g.drop(mdbeMode) // there is but one
	}
	slices.SortFunc(g.attrs, func(a, b attribute) int { return int(a.Attr.Type) - int(b.Attr.Type) })
	return g, nil
}

// withoutTimers makes of a list of sources one as it is asked for: the kernel tells the last
// one first.
func withoutTimers(list []byte) ([]byte, error) {
	const entry, address = 1, 1 // MDBE_SRC_LIST_ENTRY, MDBE_SRCATTR_ADDRESS, of what is told, too
	msg, err := parseMessage(list, 0)
	if err != nil {
		return nil, err
	}
	var sources message
	for _, a := range slices.Backward(msg.attrs) {
		source, err := parseMessage(a.Value, 0)
		if err != nil {
			return nil, err
		}
		one := message{}
		one.add(address, source.attribute(address))
		sources.add(unix.NLA_F_NESTED|entry, one.bytes())
	}
	return sources.bytes(), nil
}

// mdbRequest is the message of an entry.
func mdbRequest(g message) []byte {
	msg := mdbMessage(0)
	entry := slices.Clone(g.fixed)
	clear(entry[:mdbState]) // the port
	entry[mdbFlags] = 0     // a state
	msg.add(mdbaSetEntry, entry)
	if len(g.attrs) > 0 {
		attrs := message{attrs: g.attrs}
		msg.add(unix.NLA_F_NESTED|mdbaSetEntryAttrs, attrs.bytes())
	}
	return msg.bytes()
}

// mdbText is the entry as bridge(8) has it.
func mdbText(g message) string {
	text := fmt.Sprintf("grp %s", groupOf(g))
	if vid := binary.NativeEndian.Uint16(g.fixed[mdbVID:]); vid != 0 {
		text += fmt.Sprintf(" vid %d", vid)
	}
	if source, ok := netip.AddrFromSlice(g.attribute(mdbeSource)); ok {
		text += fmt.Sprintf(" src %s", source)
	}
	if dst, ok := netip.AddrFromSlice(g.attribute(mdbeDst)); ok {
		text += fmt.Sprintf(" dst %s", dst)
	}
	return text
}

func groupOf(g message) fmt.Stringer {
	addr := g.fixed[mdbAddr:mdbProto]
	switch binary.BigEndian.Uint16(g.fixed[mdbProto:]) {
	case unix.ETH_P_IP:
		return netip.AddrFrom4([4]byte(addr))
	case unix.ETH_P_IPV6:
		return netip.AddrFrom16([16]byte(addr))
	}
	return netmove.MAC(addr[:6])
}

// putMDB makes the device a port of a group, of the bridge that it is a port of.
func (ns *Namespace) putMDB(index int, e netmove.Entry) error {
	return ns.ofBridge(index, func(bridge int) error { return ns.putGroup(bridge, index, e.Message) })
}

func (ns *Namespace) dropMDB(index int, raw []byte) error {
	return ns.ofBridge(index, func(bridge int) error { return ns.dropGroup(bridge, index, raw) })
}

func (ns *Namespace) ofBridge(index int, do func(bridge int) error) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	return do(l.Master.Index)
}

func (ns *Namespace) putVXLANMDB(index int, e netmove.Entry) error {
	return ns.putGroup(index, index, e.Message)
}

func (ns *Namespace) dropVXLANMDB(index int, raw []byte) error {
	return ns.dropGroup(index, index, raw)
}

func (ns *Namespace) putGroup(owner, port int, raw []byte) error {
	msg, err := mdbOf(owner, port, raw)
	if err != nil {
		return err
	}
	return ns.request(unix.RTM_NEWMDB, unix.NLM_F_CREATE|unix.NLM_F_EXCL, msg.bytes())
}

// dropGroup removes an entry. What tells one from another suffices, and the rest may name
// an interface that is gone.
func (ns *Namespace) dropGroup(owner, port int, raw []byte) error {
	msg, err := mdbOf(owner, port, raw)
	if err != nil {
		return err
	}
	attrs, err := parseMessage(msg.attribute(mdbaSetEntryAttrs), 0)
	if err != nil {
		return err
	}
	msg.drop(mdbaSetEntryAttrs)
	attrs.attrs = slices.DeleteFunc(attrs.attrs, func(a attribute) bool {
		return !slices.Contains([]uint16{mdbeSource, mdbeDst, mdbeSourceVNI}, a.Attr.Type&nl.NLA_TYPE_MASK)
	})
	if len(attrs.attrs) > 0 {
		msg.add(unix.NLA_F_NESTED|mdbaSetEntryAttrs, attrs.bytes())
	}
	return ns.request(unix.RTM_DELMDB, 0, msg.bytes())
}

// mdbOf is the message about an entry of the owner's.
func mdbOf(owner, port int, raw []byte) (message, error) {
	msg, err := parseMessage(raw, sizeofBrPortMsg)
	if err != nil {
		return msg, err
	}
	entry := msg.attribute(mdbaSetEntry)
	if len(entry) != sizeofMDBEntry {
		return msg, fmt.Errorf("entry of %d bytes, want %d", len(entry), sizeofMDBEntry)
	}
	binary.NativeEndian.PutUint32(msg.fixed[brPortIfindex:], uint32(owner))
	binary.NativeEndian.PutUint32(entry, uint32(port))
	return msg, nil
}
