package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// RTM_GETNEIGHTBL tells the sysctls of neighbors of all devices at once, in place of thirty
// files of one. It cannot be asked for one device, so on a host with many of them the files
// are less.

// What package unix lacks of linux/neighbour.h.
const (
	sizeofNdtmsg = 4 // struct ndtmsg
	ndtaParms    = 6 // NDTA_PARMS
	ndtpaIfindex = 1 // NDTPA_IFINDEX
)

// Units of times, in milliseconds.
const (
	second = 1000
	tick   = 10 // of USER_HZ
)

// neighborPlaces are NDTPA_* of linux/neighbour.h, with the units of the sysctls.
func neighborPlaces() map[string]place {
	return map[string]place{
		"base_reachable_time_ms": {at: 4, unit: 1}, "retrans_time_ms": {at: 5, unit: 1}, "gc_stale_time": {at: 6, unit: second},
		"delay_first_probe_time": {at: 7, unit: second}, "unres_qlen": {at: 8, unit: 1}, "app_solicit": {at: 9, unit: 1},
		"ucast_solicit": {at: 10, unit: 1}, "mcast_solicit": {at: 11, unit: 1}, "anycast_delay": {at: 12, unit: tick},
		"proxy_delay": {at: 13, unit: tick}, "proxy_qlen": {at: 14, unit: 1}, "locktime": {at: 15, unit: tick},
		"unres_qlen_bytes": {at: 16, unit: 1}, "mcast_resolicit": {at: 17, unit: 1},
		"interval_probe_time_ms": {at: 19, unit: 1}, // Linux 6.0
	}
}

// neighborConf are the attributes in NDTA_PARMS of one device, by the folder of their
// sysctls.
type neighborConf map[string][]byte

// value is the sysctl as its file has it.
func (c neighborConf) value(p place) (value string, ok bool) {
	for typ, number := range attributes(c[p.folder]) {
		switch {
		case typ != p.at:
		case len(number) == 4:
			return strconv.Itoa(int(int32(u32(number)))), true
		case len(number) == 8:
			return timeValue(binary.NativeEndian.Uint64(number), p.unit)
		}
	}
	return "", false
}

// timeValue is a number of milliseconds in that unit. The kernel tells them modulo 2^32
// (jiffies_to_msecs), which a time in seconds can exceed, and negative ones as such. What is
// written to a sysctl is then no multiple of the unit, since up to four times 2^32 is none of
// ten: only its file tells it. (Not so at HZ=100 for less than minus 198 days in ticks.)
func timeValue(ms uint64, unit int) (value string, ok bool) {
	ok = ms%uint64(unit) == 0 && (unit > 1 || ms <= math.MaxInt32)
	return strconv.FormatUint(ms/uint64(unit), 10), ok
}

// attributes goes through attributes, without a look into those that are nested, and ends
// with one that is cut off.
func attributes(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			typ := binary.NativeEndian.Uint16(b[2:]) &^ unix.NLA_F_NESTED
			if size < unix.SizeofRtAttr || size > len(b) || !yield(int(typ), b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min((size+3)&^3, len(b)):]
		}
	}
}

// deviceCount remembers whether the namespace has so many devices that a dump about all of
// them takes longer than the files of one. The zero value is ready.
type deviceCount struct {
	mu   sync.Mutex
	left int // how often it counts as many, until there is another dump
}

const (
	manyMessages = 100 // of a dump; two a device
	manyLooks    = 64
)

func (c *deviceCount) many() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = max(c.left-1, 0)
	return c.left > 0
}

// dumped takes in how many messages a dump had.
func (c *deviceCount) dumped(messages int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left = 0; messages > manyMessages {
		c.left = manyLooks
	}
}

// neighborConf reads the sysctls of neighbors of one device; nothing where files are less.
func (ns *Namespace) neighborConf(index int) (neighborConf, error) {
	if ns.devices.many() {
		return nil, nil
	}
	msgs, err := ns.dumpOf(unix.RTM_GETNEIGHTBL, unix.RTM_NEWNEIGHTBL, make([]byte, sizeofNdtmsg))
	if err != nil {
		return nil, fmt.Errorf("sysctls of neighbors: %w", classify(err))
	}
	ns.devices.dumped(len(msgs))
	conf := neighborConf{}
	for _, msg := range msgs {
		if len(msg) < sizeofNdtmsg {
			return nil, errors.New("short RTM_NEWNEIGHTBL")
		}
		for typ, parms := range attributes(msg[sizeofNdtmsg:]) {
			if typ == ndtaParms && ofDevice(parms, index) {
				conf[neighborFolder(msg[0])] = parms
			}
		}
	}
	return conf, nil
}

func ofDevice(parms []byte, index int) bool {
	for typ, value := range attributes(parms) {
		if typ == ndtpaIfindex {
			return int(u32(value)) == index
		}
	}
	return false
}

// neighborFolder is where the sysctls of that family are.
func neighborFolder(family uint8) string {
	if family == unix.AF_INET6 {
		return "ipv6/neigh"
	}
	return "ipv4/neigh"
}
