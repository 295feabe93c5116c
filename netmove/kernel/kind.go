package kernel

import "slices"

// kind is what the engine knows of a kind of device (IFLA_INFO_KIND), or of a port of a
// master of that kind (IFLA_INFO_SLAVE_KIND). What the kernel tells of it and no row names
// is an option as well, that is set as it was told.
type kind struct {
	name    string
	bound   bool         // the kernel binds it to its namespace
	atOnce  bool         // a request for options sets to zero what it does not name
	options []kindOption // attributes of IFLA_INFO_DATA, or of IFLA_INFO_SLAVE_DATA

	// also is state that is no attribute of those, and is put back; "" for none.
	also string

	// unread is state that the engine cannot both read and put back; "" for none.
	unread string
}

// kindOption is an attribute of a kind.
type kindOption struct {
	typ  uint16
	name string // as in ip-link(8)
	use  use

	// absent is the value that is set where the kernel tells nothing; nil where it always
	// tells, or cannot be told so.
	absent []byte
}

// use is what can be done with an attribute.
type use uint8

const (
	settable use = iota
	creation     // set when the device is made, and never again
	reported     // a state that nobody sets
	list         // settable, of members in no order
)

// kindOf finds the kind with that name. Hardware has none, "".
func kindOf(name string) (k kind, known bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{name: name}, false
}

// option finds what is known of an attribute.
func (k kind) option(typ uint16) kindOption {
	i := slices.IndexFunc(k.options, func(o kindOption) bool { return o.typ == typ })
	if i < 0 {
		return kindOption{typ: typ}
	}
	return k.options[i]
}

// unrestorable tells in words which state devices of that kind have that a pod can change
// and that would not be put back; "" if there is none.
func unrestorable(name string) string {
	k, known := kindOf(name)
	if !known {
		return "the state of devices of kind " + name + " is not known"
	}
	return k.unread
}
