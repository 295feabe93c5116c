package netmove

import (
	"bytes"
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
	// such as "macvlan.1" (IFLA_MACVLAN_MODE) or "bridge_slave.cost".
	Name string `json:"name"`

	Value RawValue `json:"value"` // as the kernel has it

	// Unknown is set for what the kernel cannot tell now, such as the speed of a
	// device without a link. It differs from nothing.
	Unknown bool `json:"unknown,omitempty"`
}

// ofLink reports whether it can be set whatever the device is, and does not depend
// on sysctls as the token does.
func (o Option) ofLink() bool { return !strings.Contains(o.Name, ".") && o.Name != "token" }

// PortOption is what the name of an option contains that is the device's as a
// port of its master.
const PortOption = "_slave."

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

// differing are the options of want that have other values in have, or none.
func differing(want, have []Option) []Option {
	has := make(map[string]Option, len(have))
	for _, o := range have {
		has[o.Name] = o
	}
	var list []Option
	for _, o := range want {
		is, ok := has[o.Name]
		if same := ok && bytes.Equal(is.Value, o.Value); !same && !o.Unknown && !is.Unknown {
			list = append(list, o)
		}
	}
	return list
}
