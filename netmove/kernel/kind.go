package kernel

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// kind is what the engine knows of a kind of device (IFLA_INFO_KIND), or of the ports of a
// kind of master (IFLA_INFO_SLAVE_KIND). An attribute that the kernel tells and no row names
// is an option that is set as it was told.
type kind struct {
	name    string
	bound   bool // the kernel binds it to its namespace
	pair    bool // its IFLA_LINK is its other end
	outlast bool // it is left as it is when the device below it moves
	carrier bool // its carrier is what somebody has set (IFLA_CARRIER)
	master  bool // it takes a port by IFLA_MASTER
	atOnce  bool // its options are set by one request: what that does not name is set to zero, or refused

	// options are the attributes of IFLA_INFO_DATA, or of IFLA_INFO_SLAVE_DATA; nil: none is
	// known, and all are set as they were told.
	options func() []kindOption

	// also is state that is no such attribute, or is not listed, and is put back; "" for none.
	also string

	// left is state that stays as a pod has left it, and for which no device is refused; ""
	// for none.
	left string

	// unread is state that cannot be both read and put back; "" for none. A device that has
	// it is refused, unless its loss is accepted.
	unread string

	// unreadIf tells of such state by the device's options; nil where there is none.
	unreadIf func(netmove.Snapshot) string
}

// kindOption is an attribute of a kind.
type kindOption struct {
	typ  uint16
	name string // as in ip-link(8)
	use  use

	// absent is the value in place of an attribute that the kernel does not tell; nil where
	// it tells always, or never takes the attribute away again.
	absent []byte

	// request makes what is sent in IFLA_INFO_DATA to set a value; nil: the attribute alone.
	request func(ns *Namespace, index int, value []byte) ([]byte, error)

	// set sets it by other means than a request for the link, which does not know it.
	set func(ns *Namespace, index int, value []byte) error
}

// use is what can be done with an attribute.
type use uint8

const (
	settable use = iota
	creation     // set when the device is made, and never again
	reported     // a state that nobody sets
	list         // settable: attributes in no order
)

// allOfKind, in the place of an attribute's number, means all options of a kind.
const allOfKind = 0

// slaveSuffix follows the kind of the master in names of options that are the
// master's about its port.
const slaveSuffix = "_slave"

// kindOf finds the kind with that name. Hardware has the name "".
func kindOf(name string) (k kind, known bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{name: name}, false
}

// rows are the attributes that are known.
func (k kind) rows() []kindOption {
	if k.options == nil {
		return nil
	}
	return k.options()
}

// optionOf finds what is known of an attribute.
func optionOf(list []kindOption, typ uint16) kindOption {
	for _, o := range list {
		if o.typ == typ {
			return o
		}
	}
	return kindOption{typ: typ}
}

// unrestorable tells in words which state the device has that a pod can change and that
// would not be put back; nothing if there is none.
func unrestorable(dev netmove.Snapshot) []string {
	k, known := kindOf(dev.Identity.Kind)
	what := k.unread
	switch {
	case !known:
		what = "the state of devices of kind " + k.name + " is not known"
	case k.unreadIf != nil:
		what = k.unreadIf(dev)
	}
	if what == "" {
		return nil
	}
	return []string{what}
}

// label is the attribute's part of an option's name.
func (o kindOption) label() string {
	if o.set != nil {
		return o.name
	}
	return strconv.Itoa(int(o.typ))
}

// addOptions takes over what the kernel tells of a device by its kind, or by that of its
// master.
func (l *link) addOptions(name string, data []byte) error {
	msg, err := parseMessage(data, 0)
	if err != nil {
		return fmt.Errorf("options of a %s: %w", name, err)
	}
	k, _ := kindOf(name)
	known := k.rows()
	if name == "tun" {
		l.tun = msg
	}
	if k.carrier && l.carrier != nil {
		l.addOption(carrierOption, l.carrier)
	}
	if k.atOnce {
		l.addOption(k.optionName(strconv.Itoa(allOfKind)), settableOf(known, msg))
		return nil
	}
	for _, a := range msg.attrs {
		o := optionOf(known, a.Attr.Type&nl.NLA_TYPE_MASK)
		value := a.Value
		if o.use == list {
			value = sortedAttributes(value)
		}
		if o.use != reported {
			l.addOption(k.optionName(o.label()), value)
		}
	}
	for _, o := range known {
		if o.absent != nil && msg.attribute(o.typ) == nil {
			l.addOption(k.optionName(o.label()), o.absent)
		}
	}
	return nil
}

func (k kind) optionName(label string) string { return k.name + "." + label }

// settableOf is the message without what is not set again.
func settableOf(known []kindOption, msg message) []byte {
	for _, o := range known {
		if o.use != settable {
			msg.drop(o.typ)
		}
	}
	return msg.bytes()
}

// sortedAttributes puts attributes in an order that does not depend on when they were made.
func sortedAttributes(attrs []byte) []byte {
	msg, err := parseMessage(attrs, 0)
	if err != nil {
		return attrs
	}
	var members [][]byte
	for _, a := range msg.attrs {
		members = append(members, nl.NewRtAttr(int(a.Attr.Type), a.Value).Serialize())
	}
	slices.SortFunc(members, bytes.Compare)
	return slices.Concat(members...)
}

// setKindOption sets an option by the name of the kind and the label of the attribute.
func (ns *Namespace) setKindOption(index int, name, label string, value []byte) error {
	k, _ := kindOf(name)
	known := k.rows()
	for _, o := range known {
		if o.set != nil && o.name == label {
			return o.set(ns, index, value)
		}
	}
	typ, err := strconv.ParseUint(label, 10, 14)
	if err != nil {
		return fmt.Errorf("no option %q", k.optionName(label))
	}
	data, err := ns.kindRequest(index, optionOf(known, uint16(typ)), value)
	if err != nil {
		return err
	}
	info := message{}
	if master, ok := strings.CutSuffix(name, slaveSuffix); ok {
		info.add(unix.IFLA_INFO_SLAVE_KIND, nl.ZeroTerminated(master))
		info.add(unix.NLA_F_NESTED|unix.IFLA_INFO_SLAVE_DATA, data)
	} else {
		info.add(unix.IFLA_INFO_KIND, nl.ZeroTerminated(name))
		info.add(unix.NLA_F_NESTED|unix.IFLA_INFO_DATA, data)
	}
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.NLA_F_NESTED|unix.IFLA_LINKINFO, info.bytes()))
}

// kindRequest is what is sent in IFLA_INFO_DATA to set the attribute.
func (ns *Namespace) kindRequest(index int, o kindOption, value []byte) ([]byte, error) {
	if o.request != nil {
		return o.request(ns, index, value)
	}
	if o.typ == allOfKind {
		return value, nil
	}
	one := message{}
	one.add(o.typ, value)
	return one.bytes(), nil
}

// kindOption is the value of an option of the device's kind; nil if it is of another.
func (l *link) kindOption(kind string, typ uint16) []byte {
	name := fmt.Sprintf("%s.%d", kind, typ)
	for _, o := range l.Options {
		if o.Name == name {
			return o.Value
		}
	}
	return nil
}
