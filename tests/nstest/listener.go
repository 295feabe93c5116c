package nstest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Listener hears what its neighbors announce: a line for each frame that does, such as
// "192.0.2.5 is at 02:00:00:00:00:05". A line of a frame that is not as it has to be begins with
// "wrong".
type Listener struct {
	lines chan string
}

// etherTypeMark is that of frames which say how far a listener has to hear (IEEE 802, local
// experiments).
const etherTypeMark = 0x88b5

// hearWithin is far more than a frame takes.
const hearWithin = time.Minute

// Listen listens with a device of the namespace, up or not, until the test ends.
func (ns *NS) Listen(t testing.TB, device string) *Listener {
	t.Helper()
	conn := ns.packets(t, device, unix.ETH_P_ALL)
	l := &Listener{make(chan string, 10000)}
	go l.listen(conn)
	return l
}

func (ns *NS) packets(t testing.TB, device string, protocol int) *packet.Conn {
	t.Helper()
	var conn *packet.Conn
	ns.Do(t, func() {
		dev, err := net.InterfaceByName(device)
		if err == nil {
			conn, err = packet.Listen(dev, packet.Raw, protocol, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (l *Listener) listen(conn *packet.Conn) {
	room := make([]byte, 64<<10)
	for {
		n, _, err := conn.ReadFrom(room)
		switch {
		case errors.Is(err, unix.ENETDOWN): // told once
		case err != nil:
			return
		default:
			if line := announced(room[:n]); line != "" {
				l.lines <- line
			}
		}
	}
}

// Next waits for the next line.
func (l *Listener) Next(t testing.TB) string {
	t.Helper()
	select {
	case line := <-l.lines:
		return line
	case <-time.After(hearWithin):
		t.Fatal("nothing is announced")
		return ""
	}
}

// Until returns the lines of all frames that were sent from a device until now. The device is
// of the namespace, and linked to the one that listens.
func (l *Listener) Until(t testing.TB, ns *NS, device string) (lines []string) {
	t.Helper()
	to := &packet.Addr{HardwareAddr: ethernet.Broadcast}
	frame := ethernet.Frame{Destination: ethernet.Broadcast, Source: make(net.HardwareAddr, 6), EtherType: etherTypeMark}
	data, err := frame.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ns.packets(t, device, etherTypeMark).WriteTo(data, to); err != nil {
		t.Fatal(err)
	}
	for {
		line := l.Next(t)
		if line == mark {
			return lines
		}
		lines = append(lines, line)
	}
}

const mark = "mark"

// announced is the line of a frame, "" if it announces nothing.
func announced(data []byte) string {
	var f ethernet.Frame
	if err := f.UnmarshalBinary(data); err != nil {
		return "wrong frame: " + err.Error()
	}
	switch f.EtherType {
	case etherTypeMark:
		return mark
	case ethernet.EtherTypeARP:
		return announcedARP(f)
	case ethernet.EtherTypeIPv6:
		return announcedNA(f)
	}
	return ""
}

func announcedARP(f ethernet.Frame) string {
	var p arp.Packet
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		return "wrong ARP: " + err.Error()
	}
	if p.SenderIP != p.TargetIP {
		return ""
	}
	if !bytes.Equal(f.Source, p.SenderHardwareAddr) || !bytes.Equal(f.Destination, ethernet.Broadcast) ||
		p.Operation != arp.OperationRequest || !bytes.Equal(p.TargetHardwareAddr, make([]byte, 6)) || p.HardwareType != unix.ARPHRD_ETHER {
		return fmt.Sprintf("wrong ARP from %s to %s: %+v", f.Source, f.Destination, p)
	}
	return fmt.Sprintf("%s is at %s", p.SenderIP, p.SenderHardwareAddr)
}

func announcedNA(f ethernet.Frame) string {
	h, err := ipv6.ParseHeader(f.Payload)
	if err != nil {
		return "wrong IPv6: " + err.Error()
	}
	m, err := ndp.ParseMessage(f.Payload[ipv6.HeaderLen:])
	na, ok := m.(*ndp.NeighborAdvertisement)
	if h.NextHeader != unix.IPPROTO_ICMPV6 || err != nil || !ok || na.Solicited {
		return ""
	}
	line := fmt.Sprintf("%s is at %s", na.TargetAddress, linkLayer(na))
	if na.Router {
		line += ", a router"
	}
	src, _ := netip.AddrFromSlice(h.Src)
	all := netip.IPv6LinkLocalAllNodes()
	want, err := ndp.MarshalMessageChecksum(na, src, all)
	if err != nil || !bytes.Equal(want, f.Payload[ipv6.HeaderLen:]) || h.Dst.String() != all.String() || h.HopLimit != ndp.HopLimit ||
		src != na.TargetAddress || !na.Override || f.Source.String() != linkLayer(na) || f.Destination.String() != "33:33:00:00:00:01" {
		return fmt.Sprintf("wrong NA from %s to %s: %v: %s, sum %x, %v", f.Source, f.Destination, h, line, binary.BigEndian.Uint16(f.Payload[ipv6.HeaderLen+2:]), err)
	}
	return line
}

// linkLayer is the address that the advertisement tells.
func linkLayer(na *ndp.NeighborAdvertisement) string {
	var texts []string
	for _, o := range na.Options {
		if o, ok := o.(*ndp.LinkLayerAddress); ok && o.Direction == ndp.Target {
			texts = append(texts, o.Addr.String())
		}
	}
	return strings.Join(texts, " ")
}
