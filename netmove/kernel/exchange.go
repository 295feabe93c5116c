package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// errInterrupted means that a dump met a change, and is not whole.
var errInterrupted = errors.New("the dump was interrupted by a change")

// The library finds out the byte order at its first use and takes no lock for
// it, so two first requests at a time are a data race. This is the first use.
var _ = nl.NativeEndian()

// exchange sends one request and returns the answers of the type reply, 0 for
// all. The library's own Execute reads into a buffer of 64 KiB, which is less
// than the kernel's answer about a device with as many altnames as a pod can
// give it, and so could make a device unreadable.
func (ns *Namespace) exchange(req *nl.NetlinkRequest, reply uint16) ([][]byte, error) {
	return ns.exchangeOn(ns.sock, req, reply)
}

func (ns *Namespace) exchangeOn(sock *socket, req *nl.NetlinkRequest, reply uint16) (msgs [][]byte, err error) {
	err = ns.each(sock, req, reply, func(msg []byte) error {
		msgs = append(msgs, slices.Clone(msg))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return msgs, nil
}

// each sends one request and calls take for each answer of the type reply, 0 for all, while
// the next ones are still in the kernel: a table may be larger than our memory. Take must
// not keep what it is given, and must not use the socket.
func (ns *Namespace) each(sock *socket, req *nl.NetlinkRequest, reply uint16, take func(msg []byte) error) error {
	sock.Socket.Lock()
	defer sock.Socket.Unlock()
	defer ns.kernel.watch("a netlink request")()
	if ns.kernel.Asked != nil {
		ns.kernel.Asked()
	}
	req.Seq = atomic.AddUint32(&sock.Seq, 1)
	if err := unix.Sendto(sock.Socket.GetFd(), req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	a := answer{seq: req.Seq, reply: reply, ack: req.Flags&unix.NLM_F_ACK != 0, give: take}
	for !a.whole {
		datagram, err := sock.receive(req.Type == unix.RTM_GETLINK)
		if err == nil {
			err = a.takeAll(datagram)
		}
		if err != nil {
			return err
		}
	}
	if a.interrupted {
		return errInterrupted
	}
	return a.refused
}

// usual is the size of a buffer for answers. The kernel makes dumps as large as the reader's
// largest buffer was, and less than 32 KiB (max_recvmsg_len of netlink_recvmsg), and no
// answer is larger that is not about a device.
const usual = 32 << 10

// socket is one of netlink's, with room for what is read from it.
type socket struct {
	*nl.SocketHandle
	room []byte
}

func newSocket(s *nl.NetlinkSocket) *socket {
	return &socket{SocketHandle: &nl.SocketHandle{Socket: s}}
}

// receive reads one datagram, which is of use until the next one. One that is about a device
// is of whatever size, and so is asked for that first.
func (s *socket) receive(ofDevice bool) ([]byte, error) {
	fd, size := s.Socket.GetFd(), usual
	for {
		var err error
		if ofDevice {
			size, _, err = unix.Recvfrom(fd, nil, unix.MSG_PEEK|unix.MSG_TRUNC)
		}
		if size > len(s.room) {
			s.room = make([]byte, max(size, usual))
		}
		if err == nil {
			size, _, err = unix.Recvfrom(fd, s.room, unix.MSG_TRUNC)
		}
		switch {
		case err == nil && size > len(s.room):
			return nil, fmt.Errorf("answer of %d bytes, in place of %d", size, len(s.room))
		case err == nil:
			return s.room[:size], nil
		case is(err, unix.EAGAIN):
			// The kernel answers before send returns, but for what other
			// requests to it wait for.
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1); err != nil && !is(err, unix.EINTR) {
				return nil, fmt.Errorf("poll: %w", err)
			}
		case !is(err, unix.EINTR):
			return nil, fmt.Errorf("recvfrom: %w", err)
		}
	}
}

// answer is what has come back for a request so far.
type answer struct {
	seq         uint32
	reply       uint16
	ack         bool // the end is an acknowledgement
	give        func(msg []byte) error
	refused     error // of give, which is given no more then
	whole       bool
	interrupted bool
}

// takeAll takes in the messages of a datagram.
func (a *answer) takeAll(datagram []byte) error {
	for len(datagram) >= unix.SizeofNlMsghdr {
		size := int(u32(datagram))
		if size < unix.SizeofNlMsghdr || size > len(datagram) {
			return fmt.Errorf("message of %d bytes, of %d that are left", size, len(datagram))
		}
		header := syscall.NlMsghdr{
			Len: uint32(size), Type: binary.NativeEndian.Uint16(datagram[4:]), Flags: binary.NativeEndian.Uint16(datagram[6:]),
			Seq: u32(datagram[8:]),
		}
		if err := a.take(syscall.NetlinkMessage{Header: header, Data: datagram[unix.SizeofNlMsghdr:size]}); err != nil {
			return err
		}
		datagram = datagram[min(aligned(size), len(datagram)):]
	}
	return nil
}

// aligned is the size with what is left free after it, of messages and attributes.
func aligned(size int) int { return (size + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// take takes in one message. Those of earlier requests, left unread after an
// error, are dropped. A dump is read to its end, since there is none beside it.
func (a *answer) take(m syscall.NetlinkMessage) error {
	if m.Header.Seq != a.seq || a.whole {
		return nil
	}
	if m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 {
		a.interrupted = true
	}
	switch m.Header.Type {
	case unix.NLMSG_ERROR, unix.NLMSG_DONE:
		a.whole = true
		return answerError(m)
	}
	if (a.reply == 0 || m.Header.Type == a.reply) && a.refused == nil {
		a.refused = a.give(m.Data)
	}
	if m.Header.Flags&unix.NLM_F_MULTI == 0 && !a.ack {
		a.whole = true
	}
	return nil
}

// answerError is the errno of a closing message, with the kernel's words for
// it (NLMSGERR_ATTR_MSG), or nil.
func answerError(m syscall.NetlinkMessage) error {
	if len(m.Data) < 4 {
		return nil
	}
	errno := syscall.Errno(-int32(u32(m.Data)))
	if errno == 0 {
		return nil
	}
	if words := extendedAck(m); words != "" {
		return fmt.Errorf("%w: %s", errno, words)
	}
	return errno
}

// extendedAck is the text that came along with an error.
func extendedAck(m syscall.NetlinkMessage) string {
	if m.Header.Flags&unix.NLM_F_ACK_TLVS == 0 || len(m.Data) < 4+unix.SizeofNlMsghdr {
		return ""
	}
	rest := m.Data[4:]
	skip := unix.SizeofNlMsghdr
	if m.Header.Flags&unix.NLM_F_CAPPED == 0 {
		skip = aligned(int(u32(rest))) // the request comes back, too
	}
	if skip > len(rest) {
		return ""
	}
	attrs, err := nl.ParseRouteAttr(rest[skip:])
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if a.Attr.Type == nl.NLMSGERR_ATTR_MSG {
			return unix.ByteSliceToString(a.Value)
		}
	}
	return ""
}
