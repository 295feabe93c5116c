package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// dumper dumps by another protocol of netlink than that of links and routes.
type dumper struct {
	ns   *Namespace
	sock *socket
}

// dumping calls read with a socket of that protocol. To open it has the kernel load the module
// that answers, so this is for what is there already; and a module can be unloaded again as
// soon as it is closed. A kernel without the protocol has nothing to dump.
func (ns *Namespace) dumping(protocol int, read func(dumper) error) error {
	var sock *nl.NetlinkSocket
	err := ns.do(func() (err error) {
		sock, err = nl.GetNetlinkSocketAt(netns.None(), netns.None(), protocol)
		return err
	})
	if is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("netlink socket of protocol %d: %w", protocol, err)
	}
	defer sock.Close()
	return read(dumper{ns, newSocket(sock)})
}

// dump returns what the kernel has, without struct nlmsghdr.
func (d dumper) dump(verb int, payload []byte) ([][]byte, error) {
	msgs, err := uninterrupted(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(verb, unix.NLM_F_DUMP)
		req.AddRawData(payload)
		return d.ns.exchangeOn(d.sock, req, 0)
	})
	if answersNone(err) {
		return nil, nil
	}
	return msgs, err
}

// answersNone reports whether the kernel answers so because it has no such thing.
func answersNone(err error) bool {
	return is(err, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.ENOENT, unix.EINVAL)
}
