package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// parseAddresses reads the addresses of a device in either form: the list
// addresses, or the NRI sample's address with prefix. It returns nil if neither
// is given, and an empty list for [].
func parseAddresses(given map[string]value) []netip.Prefix {
	list, address, prefix := given["addresses"], given["address"], given["prefix"]
	if prefix.given() && !address.given() {
		prefix.refuse("is of no use without address")
	}
	if !address.given() {
		return each(list, parseAddress)
	}
	if list.given() {
		address.refuse("give addresses or address, not both")
		return nil
	}
	if a, ok := parseSampleAddress(address, prefix); ok {
		return []netip.Prefix{a}
	}
	return nil
}

func parseAddress(item value) (netip.Prefix, bool) {
	text, ok := item.text()
	if !ok {
		return netip.Prefix{}, false
	}
	a, err := parseCIDR(text)
	if err != nil {
		item.refuse("%v", err)
	}
	return a, err == nil
}

// parseSampleAddress reads address and prefix. Without a prefix the length is 32 or
// 128, unless the address is written as a CIDR.
func parseSampleAddress(address, prefix value) (netip.Prefix, bool) {
	text, ok := address.text()
	switch {
	case !ok:
		return netip.Prefix{}, false
	case !strings.Contains(text, "/"):
		return joinPrefix(address, text, prefix)
	case prefix.given():
		prefix.refuse("address %s has a prefix length already", quote(text))
	}
	return parseAddress(address)
}

// joinPrefix joins an address and a prefix length.
func joinPrefix(address value, text string, prefix value) (netip.Prefix, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		address.refuse("%s is not an address such as \"192.0.2.5\"", quote(text))
		return netip.Prefix{}, false
	}
	bits := a.BitLen()
	if prefix.given() {
		var ok bool
		if bits, ok = prefix.integer(1, a.BitLen()); !ok {
			return netip.Prefix{}, false
		}
	}
	if err := checkUsable(a, bits); err != nil {
		address.refuse("%s %v", quote(text), err)
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits), true
}

// parseCIDR reads an address with its prefix length and keeps the host bits.
func parseCIDR(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%s is not an address with its prefix length, such as \"192.0.2.5/24\"", quote(text))
	}
	if err := checkUsable(p.Addr(), p.Bits()); err != nil {
		return netip.Prefix{}, fmt.Errorf("%s %w", quote(text), err)
	}
	return p, nil
}

// checkUsable returns an error if a device cannot have the address, or should not.
func checkUsable(a netip.Addr, bits int) error {
	switch {
	case a.Zone() != "":
		return errors.New("has a zone, which an address on a device never has")
	case a.Is4In6():
		return errors.New("is IPv4 written as IPv6: write it as IPv4")
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback(),
		a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errors.New("is not an address a device can have")
	case bits == 0:
		// The kernel would route everything to the device that has it.
		return errors.New("has prefix length 0: every address would be in its network")
	}
	return nil
}

// parseNetwork reads a network. An address is read as a network of one address.
func parseNetwork(v value) netip.Prefix {
	text, ok := v.text()
	if !ok {
		return netip.Prefix{}
	}
	p, err := network(text)
	if err != nil {
		v.refuse("%v", err)
		return netip.Prefix{}
	}
	return p
}

func network(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if !strings.Contains(text, "/") {
		var a netip.Addr
		if a, err = netip.ParseAddr(text); err == nil {
			p = netip.PrefixFrom(a.WithZone(""), a.BitLen())
		}
		if a.Zone() != "" {
			err = errors.New("zone")
		}
	}
	switch {
	case err != nil:
		return p, fmt.Errorf("%s is not a network such as \"198.51.100.0/24\"", quote(text))
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%s is IPv4 written as IPv6: write it as IPv4", quote(text))
	case p != p.Masked():
		return p, fmt.Errorf("%s has bits beyond its prefix length: the network is %s", quote(text), p.Masked())
	}
	return p, nil
}

// parseAddr reads an address without a prefix length. It returns the zero Addr if none
// is given, or if no device can have it.
func parseAddr(v value) netip.Addr {
	text, ok := v.text()
	if !ok {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		v.refuse("%s is not an address such as \"192.0.2.1\"", quote(text))
		return netip.Addr{}
	}
	if err := checkUsable(a, a.BitLen()); err != nil {
		v.refuse("%s %v", quote(text), err)
		return netip.Addr{}
	}
	return a
}
