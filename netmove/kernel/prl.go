package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Requests of linux/if_tunnel.h, and struct ip_tunnel_prl.
const (
	siocGetPRL = unix.SIOCDEVPRIVATE + 4
	siocAddPRL = unix.SIOCDEVPRIVATE + 5
	siocDelPRL = unix.SIOCDEVPRIVATE + 6

	sizeofPRL = 16
	prlLength = 8 // offset
)

// prl reads the potential routers of a sit tunnel.
func (ns *Namespace) prl(dev *link) ([]netmove.Entry, error) {
	if dev.Identity.Kind != "sit" {
		return nil, nil
	}
	const room = 4096
	for count := room; ; count *= 2 {
		list := make([]byte, (1+count)*sizeofPRL) // the answer follows the question
		binary.NativeEndian.PutUint32(list[prlLength:], uint32(count*sizeofPRL))
		err := ns.deviceIoctl(dev.Name, siocGetPRL, list)
		if is(err, unix.EINVAL, unix.EOPNOTSUPP) {
			return nil, nil // the one that is there by itself, or a kernel without
		}
		if err != nil {
			return nil, err
		}
		size := int(u32(list[prlLength:]))
		if size < count*sizeofPRL {
			return prlEntries(list[sizeofPRL : sizeofPRL+size]), nil
		}
	}
}

func prlEntries(list []byte) (entries []netmove.Entry) {
	for ; len(list) >= sizeofPRL; list = list[sizeofPRL:] {
		one := bytes.Clone(list[:sizeofPRL])
		text := netip.AddrFrom4([4]byte(one)).String()
		if binary.NativeEndian.Uint16(one[4:]) != 0 { // PRL_DEFAULT
			text += " default"
		}
		entries = append(entries, netmove.Entry{Table: netmove.TablePRL, Text: text, Message: one})
	}
	return entries
}

func (ns *Namespace) putPRL(index int, e netmove.Entry) error {
	return ns.changePRL(siocAddPRL, index, e.Message)
}

func (ns *Namespace) dropPRL(index int, raw []byte) error {
	err := ns.changePRL(siocDelPRL, index, raw)
	if is(err, unix.ENXIO) {
		return fmt.Errorf("%w: %w", netmove.ErrNotFound, err)
	}
	return err
}

func (ns *Namespace) changePRL(verb uintptr, index int, raw []byte) error {
	if len(raw) != sizeofPRL {
		return fmt.Errorf("potential router of %d bytes, want %d", len(raw), sizeofPRL)
	}
	dev, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	return ns.deviceIoctl(dev.Name, verb, bytes.Clone(raw))
}
