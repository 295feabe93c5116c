package kernel

import (
	"errors"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// gather dumps a table and returns what take makes of its messages, one after the other.
func gather[T any](ns *Namespace, req *nl.NetlinkRequest, reply uint16, take func(into *T, msg []byte) error) (T, error) {
	return uninterrupted(func() (into T, err error) {
		err = ns.each(ns.sock, req, reply, func(msg []byte) error { return take(&into, msg) })
		return into, err
	})
}

// uninterrupted repeats a dump until it was not interrupted by a change.
func uninterrupted[T any](dump func() (T, error)) (T, error) {
	const tries = 10
	for try := 1; ; try++ {
		whole, err := dump()
		if err == nil {
			return whole, nil
		}
		if !errors.Is(err, errInterrupted) || try == tries {
			return *new(T), err
		}
	}
}

// dump returns all messages of a small table.
func (ns *Namespace) dump(req *nl.NetlinkRequest, reply uint16) ([][]byte, error) {
	return gather(ns, req, reply, func(into *[][]byte, msg []byte) error {
		*into = append(*into, slices.Clone(msg))
		return nil
	})
}

// dumpOf dumps a small table with what the message says as a filter.
func (ns *Namespace) dumpOf(verb int, reply uint16, msg []byte) ([][]byte, error) {
	return ns.dump(dumpRequest(verb, msg), reply)
}

func dumpRequest(verb int, msg []byte) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(verb, unix.NLM_F_DUMP)
	req.AddRawData(msg)
	return req
}
