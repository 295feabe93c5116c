package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// sendWithin bounds how long frames wait for room in the socket: a pod can have its device keep
// what is sent.
const sendWithin = 100 * time.Millisecond

// Announce sends for each of the addresses a gratuitous ARP request, or an unsolicited neighbor
// advertisement. It sends them as frames: a socket of ICMPv6 would depend on the pod's routes, and
// Go would look for its device by a name, whose index in another namespace it may remember.
func (ns *Namespace) Announce(index int, addrs []netip.Addr) error {
	l, err := ns.linkByIndex(index)
	if err != nil {
		return err
	}
	if l.alone {
		return fmt.Errorf("device %q: %w", l.Name, netmove.ErrNoNeighbors)
	}
	if l.hardware != unix.ARPHRD_ETHER || len(l.MAC) != 6 {
		return fmt.Errorf("device %q: addresses are announced on Ethernet alone, and this is of type %d (ARPHRD)", l.Name, l.hardware)
	}
	router, err := ns.forwards(l.Name)
	if err != nil {
		return err
	}
	isIPv6 := func(a netip.Addr) bool { return a.Is6() }
	isIPv4 := func(a netip.Addr) bool { return a.Is4() }
	return errors.Join(
		ns.send(index, unix.ETH_P_ARP, ethernet.Broadcast, slices.DeleteFunc(slices.Clone(addrs), isIPv6),
			func(a netip.Addr) ([]byte, error) { return gratuitousARP(l.MAC, a) }),
		ns.send(index, unix.ETH_P_IPV6, allNodesMAC(), slices.DeleteFunc(slices.Clone(addrs), isIPv4),
			func(a netip.Addr) ([]byte, error) { return unsolicitedNA(l.MAC, a, router) }),
	)
}

// gratuitousARP is a request for the address by the device that has it (RFC 5227, section 3).
func gratuitousARP(mac netmove.MAC, addr netip.Addr) ([]byte, error) {
	p, err := arp.NewPacket(arp.OperationRequest, net.HardwareAddr(mac), addr, make(net.HardwareAddr, len(mac)), addr)
	if err != nil {
		return nil, err
	}
	return p.MarshalBinary()
}

// allNodesMAC is the Ethernet address of ff02::1 (RFC 2464, section 7).
func allNodesMAC() net.HardwareAddr { return net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1} }

// unsolicitedNA is an advertisement of the address to all nodes, which replaces what they know
// (RFC 4861, section 7.2.6), with the header of IPv6. A router that does not call itself one
// there would no longer be one to those who hear it.
func unsolicitedNA(mac netmove.MAC, addr netip.Addr, router bool) ([]byte, error) {
	all := netip.IPv6LinkLocalAllNodes()
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router: router, Override: true, TargetAddress: addr,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: net.HardwareAddr(mac)}},
	}, addr, all)
	if err != nil {
		return nil, err
	}
	header := []byte{0: 6 << 4, 5: byte(len(body)), 6: unix.IPPROTO_ICMPV6, 7: ndp.HopLimit}
	header = append(header, addr.AsSlice()...)
	header = append(header, all.AsSlice()...)
	return append(header, body...), nil
}

// forwards reports whether the device forwards IPv6 packets, as a router does.
func (ns *Namespace) forwards(device string) (yes bool, err error) {
	err = ns.do(func() error {
		text, err := os.ReadFile(path.Join(sysctlRoot, "ipv6/conf", device, "forwarding"))
		yes = len(text) > 0 && text[0] != '0'
		return err
	})
	if is(err, unix.ENOENT) {
		return false, nil
	}
	return yes, err
}

// send sends the frame of each of the addresses, of one protocol, to one Ethernet address.
func (ns *Namespace) send(index, protocol int, to net.HardwareAddr, addrs []netip.Addr, frame func(netip.Addr) ([]byte, error)) (err error) {
	if len(addrs) == 0 {
		return nil
	}
	var conn *packet.Conn
	err = ns.do(func() (err error) {
		conn, err = packet.Listen(&net.Interface{Index: index}, packet.Datagram, protocol, nil)
		return err
	})
	if err != nil {
		return sendError(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return err
	}
	for _, a := range addrs {
		data, err := frame(a)
		if err == nil {
			_, err = conn.WriteTo(data, &packet.Addr{HardwareAddr: to})
		}
		if err != nil {
			return fmt.Errorf("announce %s: %w", a, sendError(err))
		}
	}
	return nil
}

// sendError gives the errors that mean a device that is gone that meaning.
func sendError(err error) error {
	if is(err, unix.ENODEV, unix.ENXIO) {
		return fmt.Errorf("%w: %w", netmove.ErrNotFound, err)
	}
	return err
}
