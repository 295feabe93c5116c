package kernel

import (
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

func (ns *Namespace) exchangeOn(sock *socket, req *nl.NetlinkRequest, reply uint16) ([][]byte, error) {
	sock.Socket.Lock()
	defer sock.Socket.Unlock()
	defer ns.kernel.watch("a netlink request")()
	if ns.kernel.Asked != nil {
		ns.kernel.Asked()
	}
	req.Seq = atomic.AddUint32(&sock.Seq, 1)
	if err := unix.Sendto(sock.Socket.GetFd(), req.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	a := answer{seq: req.Seq, reply: reply, ack: req.Flags&unix.NLM_F_ACK != 0}
	for !a.whole {
		msgs, err := sock.receive(req.Type == unix.RTM_GETLINK)
		if err != nil {
			return nil, err
		}
		for _, m := range msgs {
			if err := a.take(m); err != nil {
				return nil, err
			}
		}
	}
	if a.interrupted {
		return nil, errInterrupted
	}
	return a.msgs, nil
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

// receive reads one datagram. One that is about a device is of whatever size, and so is
// asked for that first.
func (s *socket) receive(ofDevice bool) ([]syscall.NetlinkMessage, error) {
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
			return syscall.ParseNetlinkMessage(slices.Clone(s.room[:size]))
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
	msgs        [][]byte
	whole       bool
	interrupted bool
}

// take takes in one message. Those of earlier requests, left unread after an
// error, are dropped.
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
	if a.reply == 0 || m.Header.Type == a.reply {
		a.msgs = append(a.msgs, m.Data)
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
		skip = int(u32(rest)+3) &^ 3 // the request comes back, too
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
