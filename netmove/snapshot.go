package netmove

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Snapshot is a device's state at one moment, read before anything is touched.
// It is what the journal keeps and what Return puts back.
type Snapshot struct {
	Identity Identity `json:"identity"`

	Name       string     `json:"name"`               // IFLA_IFNAME
	Altnames   []string   `json:"altnames,omitempty"` // IFLA_ALT_IFNAME, in the kernel's order
	Alias      string     `json:"alias,omitempty"`    // IFLA_IFALIAS, "" for none
	MAC        MAC        `json:"mac,omitempty"`      // IFLA_ADDRESS, of a bond's port its own one; nil where the kind has none
	MTU        int        `json:"mtu"`                // IFLA_MTU, bytes
	MinMTU     int        `json:"minMTU,omitempty"`   // IFLA_MIN_MTU, bytes
	MaxMTU     int        `json:"maxMTU,omitempty"`   // IFLA_MAX_MTU, bytes; 0: the driver names no limit
	TxQueueLen int        `json:"txQueueLen"`         // IFLA_TXQLEN, packets
	Group      int        `json:"group,omitempty"`    // IFLA_GROUP
	Flags      LinkFlags  `json:"flags"`              // the user's part of ifi_flags
	Master     Identity   `json:"master,omitzero"`    // IFLA_MASTER; zero for none
	Port       int        `json:"port,omitempty"`     // IFLA_BRPORT_NO, of a bridge's port
	Addresses  []Address  `json:"addresses,omitempty"`
	Options    []Option   `json:"options,omitempty"`
	Entries    []Entry    `json:"entries,omitempty"`
	Programs   []Program  `json:"programs,omitempty"`
	Qdisc      string     `json:"-"`       // IFLA_QDISC, the kind of the root one
	Below      int        `json:"-"`       // IFLA_LINK, the ifindex of the device that it is built on; 0: none in its namespace
	Running    bool       `json:"-"`       // it is up and has a carrier (IFF_RUNNING, IFF_LOWER_UP)
	TakenAt    BootOffset `json:"takenAt"` // when Addresses were read: their lifetimes count from here

	// Parts are those that were read. A record of an older version, which has none, has all.
	Parts Parts `json:"parts,omitempty"`

	// Sysctls are the device's, by their names below /proc/sys/net without the
	// device's, such as "ipv4/conf/arp_ignore". Snapshots may share the map: nobody
	// changes it.
	Sysctls map[string]string `json:"sysctls,omitempty"`

	// Uppers are the devices of the namespace that are built on it, but its master,
	// with their addresses, entries and uppers.
	Uppers []Snapshot `json:"uppers,omitempty"`

	// OthersRoutes are routes of other devices that the kernel deletes with the device's
	// addresses: those that have one of them as their source.
	OthersRoutes []OthersRoute `json:"othersRoutes,omitempty"`
}

// older reports whether a program of an earlier version has read it. What that did not know
// is not in it, and so nothing follows from that.
func (s Snapshot) older() bool { return s.Parts == 0 }

// LeftDown is the snapshot of a device that shall come home and be left down,
// without addresses and what depends on them.
func (s Snapshot) LeftDown() Snapshot {
	s.Flags.Up, s.Addresses, s.OthersRoutes = false, nil, nil
	s.Entries = slices.DeleteFunc(slices.Clone(s.Entries), func(e Entry) bool { return !e.Port })
	return s
}

// LastingMAC is the address that the hardware was made with, or, where there is no
// hardware, the one the device has.
func (s Snapshot) LastingMAC() MAC {
	if s.Identity.PermMAC != nil {
		return s.Identity.PermMAC
	}
	return s.MAC
}

// options is the snapshot with those of its options alone.
func (s Snapshot) options(those func(Option) bool) Snapshot {
	var list []Option
	for _, o := range s.Options {
		if those(o) {
			list = append(list, o)
		}
	}
	s.Options = list
	return s
}

// option is the option with that name.
func (s Snapshot) option(name string) (o Option, ok bool) {
	for _, o := range s.Options {
		if o.Name == name {
			return o, true
		}
	}
	return Option{}, false
}

// hasUpper reports whether that device is built on this one.
func (s Snapshot) hasUpper(id Identity) bool {
	return slices.ContainsFunc(s.Uppers, func(u Snapshot) bool { return u.Identity.Same(id) })
}

// Identity tells a device from every other one, by facts that a pod with
// NET_ADMIN cannot forge. Name, alias, altname, MAC and ifindex are hints: all
// of them can be given to another device.
type Identity struct {
	// Inode is the inode of the device's folder in sysfs: a 64-bit kernfs id
	// that is never reused and survives moves and renames.
	Inode uint64 `json:"inode"`

	// Index is the ifindex on the host. It finds the device quickly and
	// proves nothing.
	Index int `json:"index"`

	Kind    string `json:"kind,omitempty"`       // IFLA_INFO_KIND, "" for hardware
	PermMAC MAC    `json:"permMAC,omitempty"`    // IFLA_PERM_ADDRESS, hardware only; a hint, too: igbvf makes it what MAC is
	Parent  string `json:"parent,omitempty"`     // IFLA_PARENT_DEV_NAME such as "0000:02:00.0", hardware only
	Bus     string `json:"parentBus,omitempty"`  // IFLA_PARENT_DEV_BUS_NAME such as "pci"
	PCI     string `json:"pci,omitempty"`        // PCI address of a Parent that is a virtio device
	Driver  string `json:"driver,omitempty"`     // name of the driver bound to Parent, hardware only
	Netns   uint64 `json:"netnsCookie,omitzero"` // SO_NETNS_COOKIE of the host's namespace, never reused within a boot
}

// PCIAddress is the device's PCI address, "" where it has none.
func (id Identity) PCIAddress() string {
	if id.Bus != "pci" {
		return id.PCI
	}
	return id.Parent
}

// DriverName is the driver as ethtool(8) -i shows it: the kind of a virtual device.
func (id Identity) DriverName() string { return cmp.Or(id.Driver, id.Kind) }

// Same reports whether other is the device id was read from. The name, the
// index and the namespace a device is in may have changed meanwhile.
func (id Identity) Same(other Identity) bool {
	return id.Inode == other.Inode &&
		id.Kind == other.Kind &&
		id.Parent == other.Parent
}

// LinkFlags are the bits of ifi_flags that belong to the user
// (netdevice(7)), as opposed to those that report a state.
type LinkFlags struct {
	Up        bool `json:"up"`                 // IFF_UP
	NoARP     bool `json:"noARP,omitempty"`    // IFF_NOARP
	Promisc   bool `json:"promisc,omitempty"`  // IFF_PROMISC, as set by the user
	AllMulti  bool `json:"allMulti,omitempty"` // IFF_ALLMULTI, as set by the user
	Multicast bool `json:"multicast"`          // IFF_MULTICAST

	Debug      bool `json:"debug,omitempty"`      // IFF_DEBUG
	NoTrailers bool `json:"noTrailers,omitempty"` // IFF_NOTRAILERS
	Dynamic    bool `json:"dynamic,omitempty"`    // IFF_DYNAMIC
	PortSel    bool `json:"portSel,omitempty"`    // IFF_PORTSEL
	AutoMedia  bool `json:"autoMedia,omitempty"`  // IFF_AUTOMEDIA
}

// String names the flags that are set, as ip-link(8) does.
func (f LinkFlags) String() string {
	var words []string
	for _, flag := range []struct {
		set  bool
		name string
	}{
		{f.Up, "up"},
		{f.NoARP, "noarp"},
		{f.Promisc, "promisc"},
		{f.AllMulti, "allmulti"},
		{f.Multicast, "multicast"},
		{f.Debug, "debug"},
		{f.NoTrailers, "notrailers"},
		{f.Dynamic, "dynamic"},
		{f.PortSel, "portsel"},
		{f.AutoMedia, "automedia"},
	} {
		if flag.set {
			words = append(words, flag.name)
		}
	}
	return strings.Join(words, " ")
}

// withNewer has the flags that older records do not know as they are in have.
func (f LinkFlags) withNewer(have LinkFlags) LinkFlags {
	f.Debug, f.NoTrailers, f.Dynamic, f.PortSel, f.AutoMedia = have.Debug, have.NoTrailers, have.Dynamic, have.PortSel, have.AutoMedia
	return f
}

// BootOffset is a moment as the time since the node booted
// (CLOCK_BOOTTIME). It goes on during suspend and no clock step moves it.
type BootOffset time.Duration

// MarshalText writes o as a duration, such as "1h2m3s".
func (o BootOffset) MarshalText() ([]byte, error) {
	return []byte(time.Duration(o).String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (o *BootOffset) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*o = BootOffset(d)
	return err
}

// MAC is a link-layer address of any length, as text "02:00:00:00:00:01".
type MAC []byte

// String writes the address in hexadecimal with colons; "" for none.
func (m MAC) String() string { return net.HardwareAddr(m).String() }

// Equal reports whether both addresses are the same, or both absent.
func (m MAC) Equal(other MAC) bool { return string(m) == string(other) }

// MarshalText is String.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote: hexadecimal bytes with colons,
// as many as the link layer has (6 for Ethernet, 20 for InfiniBand, 4 for
// tunnels).
func (m *MAC) UnmarshalText(text []byte) error {
	*m = nil
	if len(text) == 0 {
		return nil
	}
	for part := range strings.SplitSeq(string(text), ":") {
		b, err := hex.DecodeString(part)
		if err != nil || len(b) != 1 {
			return fmt.Errorf("link-layer address %q: want hexadecimal bytes with colons", text)
		}
		*m = append(*m, b...)
	}
	return nil
}

// Forever is the lifetime of an address without a limit (INFINITY_LIFE_TIME).
const Forever uint32 = 0xffffffff

// Scope is how far an address reaches (rtm_scope, ip-address(8)).
type Scope uint8

// Scopes the kernel itself uses; a user may define others.
const (
	ScopeGlobal Scope = 0
	ScopeSite   Scope = 200
	ScopeLink   Scope = 253
	ScopeHost   Scope = 254
)

// Address is one address of a device with every attribute that the kernel
// reports for it (struct ifaddrmsg and the IFA_* attributes, rtnetlink(7)).
type Address struct {
	// Local is the device's own address and the prefix's length (IFA_LOCAL,
	// for IPv6 without a peer IFA_ADDRESS). Host bits are kept.
	Local netip.Prefix `json:"local"`

	// Peer is the far end of a point-to-point address (IFA_ADDRESS where it
	// differs from IFA_LOCAL); the zero Addr where there is none.
	Peer netip.Addr `json:"peer,omitzero"`

	Broadcast netip.Addr `json:"broadcast,omitzero"` // IFA_BROADCAST; zero: none
	Label     Text       `json:"label,omitempty"`    // IFA_LABEL, IPv4 only
	Scope     Scope      `json:"scope,omitempty"`    // ifa_scope
	Flags     uint32     `json:"flags"`              // IFA_FLAGS, IFA_F_*
	Metric    uint32     `json:"metric,omitempty"`   // IFA_RT_PRIORITY of the prefix route; 0: the kernel's default
	Protocol  uint8      `json:"protocol,omitempty"` // IFA_PROTO; 0: unspecified

	// Valid and Preferred are the seconds left when the address was read
	// (IFA_CACHEINFO); Forever for a permanent address.
	Valid     uint32 `json:"valid"`
	Preferred uint32 `json:"preferred"`
}
