package kernel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// vfPrefix begins the names of options that are about a virtual function of a
// NIC: its number and that of the attribute follow, "vf.0.1".
const vfPrefix = "vf."

// rtextFilterVF has RTM_GETLINK tell of virtual functions (RTEXT_FILTER_VF).
const rtextFilterVF = 1 << 0

// vfOptions reads how a NIC's virtual functions are set up: MAC, VLAN, rates, spoof
// check, link state, trust (IFLA_VFINFO_LIST). They stay on the host, or wherever they
// are, while who has the NIC may change all that.
func (ns *Namespace) vfOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	if dev.Identity.Parent == "" {
		return nil, nil
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.AddData(ifInfo(dev.Identity.Index))
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(rtextFilterVF|rtextFilterSkipStats)))
	msgs, err := ns.exchange(req, unix.RTM_NEWLINK)
	if err == nil && len(msgs) != 1 {
		err = fmt.Errorf("%d answers, want 1", len(msgs))
	}
	if err != nil {
		return nil, fmt.Errorf("virtual functions of %q: %w", dev.Name, classify(err))
	}
	msg, err := parseMessage(msgs[0], unix.SizeofIfInfomsg)
	if err != nil {
		return nil, err
	}
	list, err := parseMessage(msg.attribute(unix.IFLA_VFINFO_LIST), 0)
	if err != nil {
		return nil, err
	}
	var l link
	for _, vf := range list.attrs {
		if err := l.addVF(vf.Value); err != nil {
			return nil, err
		}
	}
	return l.Options, nil
}

// addVF takes over an IFLA_VF_INFO. All that can be set comes first with the number
// of the function, but for the list of VLANs.
func (l *link) addVF(info []byte) error {
	vf, err := parseMessage(info, 0)
	if err != nil {
		return err
	}
	number := strconv.Itoa(int(u32(vf.attribute(nl.IFLA_VF_MAC))))
	for _, a := range vf.attrs {
		if typ := a.Attr.Type & nl.NLA_TYPE_MASK; slices.Contains(vfSettings(), typ) {
			l.addOption(vfPrefix+number+"."+strconv.Itoa(int(typ)), a.Value)
		}
	}
	return nil
}

// vfSettings are the attributes that can be set. IFLA_VF_VLAN and IFLA_VF_TX_RATE
// are in others, with less.
func vfSettings() []uint16 {
	return []uint16{
		nl.IFLA_VF_MAC, nl.IFLA_VF_VLAN_LIST, nl.IFLA_VF_RATE, nl.IFLA_VF_SPOOFCHK, nl.IFLA_VF_LINK_STATE,
		nl.IFLA_VF_RSS_QUERY_EN, nl.IFLA_VF_TRUST, nl.IFLA_VF_IB_NODE_GUID, nl.IFLA_VF_IB_PORT_GUID,
	}
}

// setVF sets an option of a virtual function by its name without the prefix. The
// function's number is in the value.
func (ns *Namespace) setVF(index int, name string, value []byte) error {
	_, number, _ := strings.Cut(name, ".")
	typ, err := strconv.ParseUint(number, 10, 14)
	if err != nil {
		return fmt.Errorf("no option %q", vfPrefix+name)
	}
	setting, vf := message{}, message{}
	setting.add(uint16(typ), value)
	vf.add(unix.NLA_F_NESTED|nl.IFLA_VF_INFO, setting.bytes())
	return ns.newLink(ifInfo(index), nl.NewRtAttr(unix.NLA_F_NESTED|unix.IFLA_VFINFO_LIST, vf.bytes()))
}
