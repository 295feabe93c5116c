package netmove

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Option is one attribute of a device, or of its place in its master, that
// the engine puts back as it found it and does not understand: what offload
// sizes it has, how its kind is set up, what a bridge does with the port.
type Option struct {
	// Name says which: "gso_max_size"; with the kind of the device, or of its
	// master, and the attribute's number where the attribute is one of theirs,
	// such as "macvlan.1" (IFLA_MACVLAN_MODE) or "bridge_slave.3".
	Name string `json:"name"`

	Value RawValue `json:"value"` // as the kernel has it

	// Unknown is set for what the kernel cannot tell now, such as the speed of a
	// device without a link. It differs from nothing.
	Unknown bool `json:"unknown,omitempty"`
}

// LinkType is the name of the option for the link type (ARPHRD_*) of a device that can be given
// another one.
const LinkType = "link_type"

func (o Option) isLinkType() bool { return o.Name == LinkType }

// ofLink reports whether it can be set whatever the device is, and does not depend
// on sysctls as the token does.
func (o Option) ofLink() bool {
	return !strings.Contains(o.Name, ".") && o.Name != "token" && !o.isLinkType()
}

func (o Option) ofState() bool { return !o.ofLink() && !o.isLinkType() }

// PortOption is what the name of an option contains that is the device's as a
// port of its master.
const PortOption = "_slave."

// group is the name of the option up to its last part: a reader to whom the driver tells
// nothing of a group has that as an option that is unknown.
func (o Option) group() string { return o.Name[:max(0, strings.LastIndex(o.Name, "."))] }

// shared reports whether it is one that all devices share that are built on the same one
// (ipvlan_port_create, ipvlan_nl_changelink): a pod changes the host's by its own.
func (o Option) shared() bool {
	return strings.HasPrefix(o.Name, "ipvlan.") || strings.HasPrefix(o.Name, "ipvtap.")
}

// RawValue is a value in the kernel's binary form, as text in hexadecimal.
type RawValue []byte

// String is the value in hexadecimal.
func (v RawValue) String() string { return hex.EncodeToString(v) }

// MarshalText is String.
func (v RawValue) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *RawValue) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("value %q: %w", text, err)
	}
	*v = raw
	return nil
}
