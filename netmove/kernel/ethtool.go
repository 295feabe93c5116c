package kernel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ethtoolPrefix begins the names of options that are set by ethtool netlink
// (Documentation/networking/ethtool-netlink.rst).
const ethtoolPrefix = "ethtool."

// headerAttr is the header of every message of ethtool's (ETHTOOL_A_*_HEADER).
const headerAttr = 1

// Attributes of a FEC message that package unix lacks (linux/ethtool_netlink.h).
const (
	fecActive = 4 // ETHTOOL_A_FEC_ACTIVE
	fecStats  = 5 // ETHTOOL_A_FEC_STATS
)

// ethtoolGroup is a pair of messages of ethtool's: one tells what the other
// sets, attribute by attribute.
type ethtoolGroup struct {
	name     string
	get, set uint8
	reported []uint16 // attributes that cannot be set
}

func ethtoolGroups() []ethtoolGroup {
	return []ethtoolGroup{
		{"privflags", unix.ETHTOOL_MSG_PRIVFLAGS_GET, unix.ETHTOOL_MSG_PRIVFLAGS_SET, nil},
		{"rings", unix.ETHTOOL_MSG_RINGS_GET, unix.ETHTOOL_MSG_RINGS_SET, []uint16{
			unix.ETHTOOL_A_RINGS_RX_MAX, unix.ETHTOOL_A_RINGS_RX_MINI_MAX, unix.ETHTOOL_A_RINGS_RX_JUMBO_MAX,
			unix.ETHTOOL_A_RINGS_TX_MAX, unix.ETHTOOL_A_RINGS_TX_PUSH_BUF_LEN_MAX, unix.ETHTOOL_A_RINGS_HDS_THRESH_MAX,
		}},
		{channels, unix.ETHTOOL_MSG_CHANNELS_GET, unix.ETHTOOL_MSG_CHANNELS_SET, []uint16{
			unix.ETHTOOL_A_CHANNELS_RX_MAX, unix.ETHTOOL_A_CHANNELS_TX_MAX,
			unix.ETHTOOL_A_CHANNELS_OTHER_MAX, unix.ETHTOOL_A_CHANNELS_COMBINED_MAX,
		}},
		{"coalesce", unix.ETHTOOL_MSG_COALESCE_GET, unix.ETHTOOL_MSG_COALESCE_SET, nil},
		{"pause", unix.ETHTOOL_MSG_PAUSE_GET, unix.ETHTOOL_MSG_PAUSE_SET, []uint16{unix.ETHTOOL_A_PAUSE_STATS}},
		{linkModes, unix.ETHTOOL_MSG_LINKMODES_GET, unix.ETHTOOL_MSG_LINKMODES_SET, []uint16{
			unix.ETHTOOL_A_LINKMODES_PEER, unix.ETHTOOL_A_LINKMODES_MASTER_SLAVE_STATE, unix.ETHTOOL_A_LINKMODES_RATE_MATCHING,
		}},
		{linkInfo, unix.ETHTOOL_MSG_LINKINFO_GET, unix.ETHTOOL_MSG_LINKINFO_SET, []uint16{
			unix.ETHTOOL_A_LINKINFO_TP_MDIX, unix.ETHTOOL_A_LINKINFO_TRANSCEIVER,
		}},
		{"debug", unix.ETHTOOL_MSG_DEBUG_GET, unix.ETHTOOL_MSG_DEBUG_SET, nil},
		{"wol", unix.ETHTOOL_MSG_WOL_GET, unix.ETHTOOL_MSG_WOL_SET, nil},
		{"eee", unix.ETHTOOL_MSG_EEE_GET, unix.ETHTOOL_MSG_EEE_SET, []uint16{unix.ETHTOOL_A_EEE_MODES_PEER, unix.ETHTOOL_A_EEE_ACTIVE}},
		{"fec", unix.ETHTOOL_MSG_FEC_GET, unix.ETHTOOL_MSG_FEC_SET, []uint16{fecActive, fecStats}},
	}
}

const (
	channels  = "channels"
	linkModes = "linkmodes" // its speed is a setting, or what came out of a negotiation
	linkInfo  = "linkinfo"  // its connector is a setting, or what is plugged in
)

// negotiated are attributes of linkModes that report what both ends agreed on, if
// they negotiate.
func negotiated(msg message) []uint16 {
	if on := msg.attribute(unix.ETHTOOL_A_LINKMODES_AUTONEG); len(on) == 0 || on[0] == 0 {
		return nil
	}
	return []uint16{unix.ETHTOOL_A_LINKMODES_SPEED, unix.ETHTOOL_A_LINKMODES_DUPLEX, unix.ETHTOOL_A_LINKMODES_LANES}
}

// reports tells whether a device of that kind tells no settings of its own: one without hardware
// has the link of the device below it, if any (set_link_ksettings), and a tun or tap as many
// channels as processes hold queues of it (tun_get_channels).
func (g ethtoolGroup) reports(kind string) bool {
	if kind == "tun" {
		return g.name == channels
	}
	return (g.name == linkModes || g.name == linkInfo) && kind != ""
}

// unknown reports whether a value of that group says that there is none now.
func (g ethtoolGroup) unknown(typ uint16, value []byte) bool {
	switch g.name {
	case linkModes:
		return unknownMode(typ, value)
	case linkInfo:
		return typ == unix.ETHTOOL_A_LINKINFO_PORT && len(value) == 1 && value[0] >= portNone
	}
	return false
}

// toldAsSet reports whether the driver tells speed, duplex and connector as they were set, as
// there is no link to ask: that there is none is a setting, too.
func toldAsSet(id netmove.Identity) bool { return id.Kind == "tun" || id.Driver == "virtio_net" }

// portNone is the connector of a device without one (PORT_NONE); what is above it is none that
// the kernel has a name for (PORT_OTHER). Drivers tell these as long as nothing is plugged in.
const portNone = 0xef

// unknownMode reports whether a value of linkModes says that there is none: without
// a link, drivers know no speed that was not negotiated.
func unknownMode(typ uint16, value []byte) bool {
	const speedUnknown, duplexUnknown = ^uint32(0), 0xff // SPEED_UNKNOWN, DUPLEX_UNKNOWN
	switch typ {
	case unix.ETHTOOL_A_LINKMODES_SPEED:
		return u32(value) == speedUnknown || u32(value) == 0
	case unix.ETHTOOL_A_LINKMODES_DUPLEX:
		return len(value) == 1 && value[0] == duplexUnknown
	case unix.ETHTOOL_A_LINKMODES_LANES:
		return u32(value) == 0
	}
	return false
}

// featuresOption is the name of the option for offload features, which are told
// apart by bits instead.
const featuresOption = "features"

// ethtool is what is known of the family.
type ethtool struct {
	mu      sync.Mutex
	known   bool
	id      int      // 0 on Linux without CONFIG_ETHTOOL_NETLINK
	lacking sync.Map // what kinds of device do not have

	features struct {
		mu    sync.Mutex
		names []string // by bit: the same for all devices
	}
}

// featureNames returns the names of offload features, which are read once.
func (e *ethtool) featureNames(read func() ([]string, error)) (names []string, err error) {
	e.features.mu.Lock()
	defer e.features.mu.Unlock()
	if e.features.names == nil {
		e.features.names, err = read()
	}
	return e.features.names, err
}

func (e *ethtool) family(ns *Namespace) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known {
		return e.id, nil
	}
	id, err := ns.family(unix.ETHTOOL_GENL_NAME)
	e.id, e.known = id, err == nil
	return e.id, err
}

// ethtoolOptions reads the options that are ethtool's. Each message takes the
// kernel's one lock of network devices, which a move holds for milliseconds, so a
// kind of virtual device is asked once for what it does not have.
func (ns *Namespace) ethtoolOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	var l link
	if family, err := ns.ethtool.family(ns); family == 0 || err != nil {
		return nil, err
	}
	index, kind := dev.Identity.Index, dev.Identity.Kind
	for _, g := range ethtoolGroups() {
		if ns.ethtool.lacks(kind, g.name) || g.reports(kind) {
			continue
		}
		msg, err := ns.ethtoolGet(g.get, index)
		if is(err, unix.EOPNOTSUPP) {
			ns.ethtool.note(kind, g.name)
			continue
		}
		if err != nil {
			return l.Options, err
		}
		if g.name == linkModes {
			msg.drop(negotiated(msg)...)
		}
		for _, a := range msg.attrs {
			if typ := a.Attr.Type & nl.NLA_TYPE_MASK; typ != headerAttr && !slices.Contains(g.reported, typ) {
				l.addOption(ethtoolPrefix+g.name+"."+strconv.Itoa(int(a.Attr.Type)), a.Value)
				l.Options[len(l.Options)-1].Unknown = g.unknown(typ, a.Value) && !toldAsSet(dev.Identity)
			}
		}
	}
	msg, err := ns.ethtoolGet(unix.ETHTOOL_MSG_FEATURES_GET, index)
	if value := wantedFeatures(msg); value != nil {
		l.addOption(ethtoolPrefix+featuresOption, value)
	}
	return l.Options, err
}

// lacks reports whether devices of that kind are known not to have that group. Of
// hardware, which has no kind, every device is asked.
func (e *ethtool) lacks(kind, group string) bool {
	_, lacks := e.lacking.Load(kind + " " + group)
	return lacks
}

func (e *ethtool) note(kind, group string) {
	if kind != "" {
		e.lacking.Store(kind+" "+group, true)
	}
}

// ethtoolGet asks for one group, which the driver may not have (EOPNOTSUPP).
func (ns *Namespace) ethtoolGet(command uint8, index int) (message, error) {
	msgs, err := ns.ethtoolExchange(command, 0, index)
	if err == nil && len(msgs) != 1 {
		err = fmt.Errorf("%d answers, want 1", len(msgs))
	}
	if err != nil {
		return message{}, fmt.Errorf("ethtool settings of ifindex %d: %w", index, classify(err))
	}
	return parseMessage(msgs[0], sizeofGenlmsghdr)
}

func (ns *Namespace) ethtoolExchange(command uint8, flags, index int, attrs ...*nl.RtAttr) ([][]byte, error) {
	header := nl.NewRtAttr(unix.NLA_F_NESTED|headerAttr, nil)
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_DEV_INDEX, nl.Uint32Attr(uint32(index)))
	header.AddRtAttr(unix.ETHTOOL_A_HEADER_FLAGS, nl.Uint32Attr(unix.ETHTOOL_FLAG_COMPACT_BITSETS))
	attrs = append([]*nl.RtAttr{header}, attrs...)
	family, err := ns.ethtool.family(ns)
	if err != nil {
		return nil, err
	}
	return ns.exchangeGeneric(genericRequest(family, flags, command, unix.ETHTOOL_GENL_VERSION, attrs...), family)
}

// wantedFeatures is which features can be switched, followed by which of them
// are switched on: two bitsets of the same length.
func wantedFeatures(msg message) []byte {
	can, never := bitset(msg, unix.ETHTOOL_A_FEATURES_HW), bitset(msg, unix.ETHTOOL_A_FEATURES_NOCHANGE)
	on := bitset(msg, unix.ETHTOOL_A_FEATURES_WANTED)
	if len(can) != len(on) || len(can) != len(never) {
		return nil
	}
	for i := range on {
		can[i] &^= never[i]
		on[i] &= can[i]
	}
	return slices.Concat(can, on)
}

// bitset is a copy of the bits of an attribute.
func bitset(msg message, typ uint16) []byte {
	set, err := parseMessage(msg.attribute(typ), 0)
	if err != nil {
		return nil
	}
	return slices.Clone(set.attribute(unix.ETHTOOL_A_BITSET_VALUE))
}

// setEthtool sets an option of ethtool's by its name without the prefix.
func (ns *Namespace) setEthtool(index int, name string, value []byte) error {
	if name == featuresOption {
		half := len(value) / 2
		bits := nl.NewRtAttr(unix.NLA_F_NESTED|unix.ETHTOOL_A_FEATURES_WANTED, nil)
		bits.AddRtAttr(unix.ETHTOOL_A_BITSET_SIZE, nl.Uint32Attr(uint32(8*half)))
		bits.AddRtAttr(unix.ETHTOOL_A_BITSET_VALUE, value[half:])
		bits.AddRtAttr(unix.ETHTOOL_A_BITSET_MASK, value[:half])
		_, err := ns.ethtoolExchange(unix.ETHTOOL_MSG_FEATURES_SET, unix.NLM_F_ACK, index, bits)
		return err
	}
	group, number, _ := strings.Cut(name, ".")
	typ, err := strconv.ParseUint(number, 10, 16)
	for _, g := range ethtoolGroups() {
		if err == nil && g.name == group {
			_, err := ns.ethtoolExchange(g.set, unix.NLM_F_ACK, index, nl.NewRtAttr(int(typ), value))
			return err
		}
	}
	return fmt.Errorf("no option %q", ethtoolPrefix+name)
}
