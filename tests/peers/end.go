package main

import (
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// end is one end of a move: a network namespace, and a netlink socket in it.
type end struct {
	netns netns.NsHandle
	sock  *nl.NetlinkSocket
}

func openEnd(name string) (*end, error) {
	ns, err := netns.GetFromPath(netnsPath(name))
	if err != nil {
		return nil, err
	}
	sock, err := nl.GetNetlinkSocketAt(ns, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &end{ns, sock}, nil
}

func (e *end) close() error {
	e.sock.Close()
	return e.netns.Close()
}

// move moves the device into another namespace and renames it, in one request.
func (n *node) move(sock *nl.NetlinkSocket, index int, to netns.NsHandle, name string) error {
	req := linkRequest(sock, unix.RTM_NEWLINK, index)
	req.Flags |= unix.NLM_F_ACK
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(to))))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	began := time.Now()
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	n.moved(time.Since(began))
	return err
}

func linkRequest(sock *nl.NetlinkSocket, verb, index int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(verb, 0)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: sock}}
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	return req
}
