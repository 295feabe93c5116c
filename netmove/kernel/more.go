package kernel

import (
	"errors"
	"slices"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// source is where options are read and set that RTM_NEWLINK does not carry along.
type source struct {
	prefix string // of the options' names
	read   func(*Namespace, netmove.Snapshot) ([]netmove.Option, error)
	set    func(ns *Namespace, index int, name string, value []byte) error // by name without the prefix
}

func sources() [7]source {
	return [...]source{
		// What a tun offloads is a choice among the features, and comes before them.
		{tunFilePrefix, (*Namespace).tunFileOptions, (*Namespace).setTunFile},
		// The number of queues comes before what is about each of them.
		{ethtoolPrefix, (*Namespace).ethtoolOptions, (*Namespace).setEthtool},
		{receivePrefix, (*Namespace).receiveOptions, (*Namespace).setReceive},
		{vfPrefix, (*Namespace).vfOptions, (*Namespace).setVF},
		{wireguardPrefix, (*Namespace).wireguardOptions, (*Namespace).setWireguard},
		{sysfsPrefix, (*Namespace).sysfsOptions, (*Namespace).setSysfs},
		{timestampPrefix, (*Namespace).timestampOptions, (*Namespace).setTimestamp},
	}
}

// sourceOf finds the source of an option.
func sourceOf(name string) (s source, ok bool) {
	for _, s := range sources() {
		if strings.HasPrefix(name, s.prefix) {
			return s, true
		}
	}
	return source{}, false
}

// moreOptions are the device's options with what the sources have, which may have been
// read before. With an error come those that could be read.
func (ns *Namespace) moreOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	list := slices.DeleteFunc(slices.Clone(dev.Options), func(o netmove.Option) bool {
		_, more := sourceOf(o.Name)
		return more
	})
	var errs []error
	for _, s := range sources() {
		options, err := s.read(ns, dev)
		list, errs = append(list, options...), append(errs, err)
	}
	return list, errors.Join(errs...)
}
