package kernel

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sizeofGenlmsghdr is the size of struct genlmsghdr.
const sizeofGenlmsghdr = 4

// generic is a socket of generic netlink. It is opened when it is needed: most pods'
// namespaces are not asked for anything by it.
type generic struct {
	mu   sync.Mutex
	sock *socket
}

func (ns *Namespace) genericSocket() (*socket, error) {
	g := &ns.generic
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sock != nil {
		return g.sock, nil
	}
	err := ns.do(func() error {
		sock, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_GENERIC)
		if err != nil {
			return fmt.Errorf("generic netlink socket: %w", err)
		}
		if err := sock.SetExtAck(true); err != nil {
			sock.Close()
			return fmt.Errorf("NETLINK_EXT_ACK: %w", err)
		}
		g.sock = newSocket(sock)
		return nil
	})
	return g.sock, err
}

// exchangeGeneric sends one request of generic netlink.
func (ns *Namespace) exchangeGeneric(req *nl.NetlinkRequest, family int) ([][]byte, error) {
	sock, err := ns.genericSocket()
	if err != nil {
		return nil, err
	}
	return ns.exchangeOn(sock, req, uint16(family))
}

// family is the id of a family of generic netlink, 0 where the kernel has none.
func (ns *Namespace) family(name string) (int, error) {
	attr := nl.NewRtAttr(nl.GENL_CTRL_ATTR_FAMILY_NAME, nl.ZeroTerminated(name))
	req := genericRequest(nl.GENL_ID_CTRL, 0, nl.GENL_CTRL_CMD_GETFAMILY, nl.GENL_CTRL_VERSION, attr)
	msgs, err := ns.exchangeGeneric(req, nl.GENL_ID_CTRL)
	if is(err, unix.ENOENT) {
		return 0, nil
	}
	if err == nil && len(msgs) != 1 {
		err = fmt.Errorf("%d answers, want 1", len(msgs))
	}
	if err != nil {
		return 0, fmt.Errorf("family %s of generic netlink: %w", name, err)
	}
	msg, err := parseMessage(msgs[0], sizeofGenlmsghdr)
	if id := msg.attribute(nl.GENL_CTRL_ATTR_FAMILY_ID); err == nil && len(id) == 2 {
		return int(binary.NativeEndian.Uint16(id)), nil
	}
	return 0, err
}

// genericRequest is a request of generic netlink. The library's Genlmsg has two
// bytes and is sent as four, with what is behind it in memory.
func genericRequest(family, flags int, command, version uint8, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(family, flags)
	req.AddRawData([]byte{command, version, 0, 0}) // struct genlmsghdr
	for _, a := range attrs {
		req.AddRawData(a.Serialize())
	}
	return req
}
