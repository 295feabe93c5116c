package kernel

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ethSSFeatures is ETH_SS_FEATURES of linux/ethtool.h, the set of the features' names.
const ethSSFeatures = 4

// groupedFeatures are the names under which ethtool(8) -k shows several of the kernel's at
// once, or one under an older name.
func groupedFeatures() map[string]string {
	return map[string]string{
		"rx-checksumming":              "rx-checksum",
		"tx-checksumming":              "tx-checksum-*",
		"scatter-gather":               "tx-scatter-gather*",
		"tcp-segmentation-offload":     "tx-tcp*-segmentation",
		"generic-segmentation-offload": "tx-generic-segmentation",
		"generic-receive-offload":      "rx-gro",
		"large-receive-offload":        "rx-lro",
		"rx-vlan-offload":              "rx-vlan-hw-parse",
		"tx-vlan-offload":              "tx-vlan-hw-insert",
		"ntuple-filters":               "rx-ntuple-filter",
		"receive-hashing":              "rx-hashing",
	}
}

// featureBits are the features of a device by bit.
type featureBits struct {
	names      []string // "" where there is none
	can, never []byte   // bitsets
	active     []byte
}

func (b featureBits) feature(bit int) netmove.Feature {
	has := func(set []byte) bool { return bit/8 < len(set) && set[bit/8]&(1<<(bit%8)) != 0 }
	return netmove.Feature{On: has(b.active), Fixed: !has(b.can) || has(b.never)}
}

// bits are the bits of a name: several if it is that of a group.
func (b featureBits) bits(name string) (bits []int) {
	pattern, ok := groupedFeatures()[name]
	if !ok {
		pattern = name
	}
	for bit, n := range b.names {
		// A pattern is one of the list, or a name that has no special characters.
		if match, _ := path.Match(pattern, n); match {
			bits = append(bits, bit)
		}
	}
	return bits
}

// Features reads the offload features of the device, and those that ethtool(8) shows
// beside them: a group is on if one of it is, and fixed if all are.
func (ns *Namespace) Features(index int) (map[string]netmove.Feature, error) {
	b, err := ns.featureBits(index)
	if err != nil {
		return nil, err
	}
	list := map[string]netmove.Feature{}
	for _, name := range slices.Concat(b.names, slices.Collect(maps.Keys(groupedFeatures()))) {
		whole := netmove.Feature{Fixed: true}
		for _, bit := range b.bits(name) {
			f := b.feature(bit)
			whole.On, whole.Fixed = whole.On || f.On, whole.Fixed && f.Fixed
			list[name] = whole
		}
	}
	delete(list, "")
	return list, nil
}

func (ns *Namespace) featureBits(index int) (b featureBits, err error) {
	if family, err := ns.ethtool.family(ns); err != nil {
		return b, err
	} else if family == 0 {
		return b, errors.New("offload features: the kernel has no ethtool netlink (CONFIG_ETHTOOL_NETLINK)")
	}
	if b.names, err = ns.ethtool.featureNames(func() ([]string, error) { return ns.featureNames(index) }); err != nil {
		return b, err
	}
	msg, err := ns.ethtoolGet(unix.ETHTOOL_MSG_FEATURES_GET, index)
	b.can, b.never = bitset(msg, unix.ETHTOOL_A_FEATURES_HW), bitset(msg, unix.ETHTOOL_A_FEATURES_NOCHANGE)
	b.active = bitset(msg, unix.ETHTOOL_A_FEATURES_ACTIVE)
	return b, err
}

// featureNames reads what the kernel calls the features, by bit.
func (ns *Namespace) featureNames(index int) (names []string, err error) {
	set := nl.NewRtAttr(unix.NLA_F_NESTED|unix.ETHTOOL_A_STRSET_STRINGSETS, nil)
	set.AddRtAttr(unix.NLA_F_NESTED|unix.ETHTOOL_A_STRINGSETS_STRINGSET, nil).
		AddRtAttr(unix.ETHTOOL_A_STRINGSET_ID, nl.Uint32Attr(ethSSFeatures))
	msgs, err := ns.ethtoolExchange(unix.ETHTOOL_MSG_STRSET_GET, 0, index, set)
	if err == nil && len(msgs) != 1 {
		err = fmt.Errorf("%d answers, want 1", len(msgs))
	}
	if err != nil {
		return nil, fmt.Errorf("names of offload features: %w", classify(err))
	}
	msg, err := parseMessage(msgs[0], sizeofGenlmsghdr)
	for _, typ := range []uint16{unix.ETHTOOL_A_STRSET_STRINGSETS, unix.ETHTOOL_A_STRINGSETS_STRINGSET, unix.ETHTOOL_A_STRINGSET_STRINGS} {
		if err == nil {
			msg, err = parseMessage(msg.attribute(typ), 0)
		}
	}
	for _, a := range msg.attrs {
		one, err := parseMessage(a.Value, 0)
		if err != nil {
			return nil, err
		}
		bit := int(u32(one.attribute(unix.ETHTOOL_A_STRING_INDEX)))
		if bit >= 1<<10 {
			return nil, fmt.Errorf("offload feature of number %d", bit)
		}
		if bit >= len(names) {
			names = append(names, make([]string, bit+1-len(names))...)
		}
		names[bit] = unix.ByteSliceToString(one.attribute(unix.ETHTOOL_A_STRING_VALUE))
	}
	return names, err
}

// SetFeatures switches offload features. A name of the kernel's counts more than that of
// a group which it is in.
func (ns *Namespace) SetFeatures(index int, features map[string]bool) error {
	before, err := ns.featureBits(index)
	if err != nil {
		return err
	}
	want := before.wanted(features)
	on := make([]byte, len(before.can))
	mask := make([]byte, len(before.can))
	for bit, yes := range want {
		mask[bit/8] |= 1 << (bit % 8)
		if yes {
			on[bit/8] |= 1 << (bit % 8)
		}
	}
	if err := ns.setEthtool(index, featuresOption, slices.Concat(mask, on)); err != nil {
		return err
	}
	after, err := ns.featureBits(index)
	if err != nil {
		return err
	}
	var left []string
	for bit, yes := range want {
		if after.feature(bit).On != yes {
			left = append(left, after.names[bit])
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return fmt.Errorf("%s did not change: the device has it so because of others, see \"ethtool -k\"", strings.Join(left, ", "))
	}
	return nil
}

// wanted are the bits that are to be switched.
func (b featureBits) wanted(features map[string]bool) map[int]bool {
	want := map[int]bool{}
	for _, groups := range []bool{true, false} {
		for name, on := range features {
			if _, grouped := groupedFeatures()[name]; grouped != groups {
				continue
			}
			for _, bit := range b.bits(name) {
				if !b.feature(bit).Fixed {
					want[bit] = on
				}
			}
		}
	}
	return want
}
