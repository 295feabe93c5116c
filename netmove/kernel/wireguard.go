package kernel

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// wireguardPrefix begins the names of options that are set by WireGuard's family of
// generic netlink (linux/wireguard.h).
const wireguardPrefix = "wireguard."

// wireguardSettings are its options but for the peers. What is not set at all the
// kernel does not tell, and so has the size of its value here.
func wireguardSettings() [3]wireguardSetting {
	return [...]wireguardSetting{
		{unix.WGDEVICE_A_PRIVATE_KEY, "key", unix.WG_KEY_LEN},
		{unix.WGDEVICE_A_LISTEN_PORT, "port", 2},
		{unix.WGDEVICE_A_FWMARK, "fwmark", 4},
	}
}

type wireguardSetting struct {
	typ  uint16
	name string
	size int
}

// wireguardPeers is the option for all peers, as attributes WGDEVICE_A_PEERS has: one
// for each peer, and then one for each prefix that is routed to it.
const wireguardPeers = "peers"

// wireguardOptions reads keys and peers of a WireGuard device.
func (ns *Namespace) wireguardOptions(dev netmove.Snapshot) ([]netmove.Option, error) {
	if dev.Identity.Kind != "wireguard" {
		return nil, nil
	}
	msgs, err := uninterrupted(func() ([][]byte, error) {
		return ns.wireguard(unix.WG_CMD_GET_DEVICE, unix.NLM_F_DUMP, dev.Identity.Index)
	})
	if err != nil {
		return nil, err
	}
	var l link
	var peers []byte
	for i, msg := range msgs {
		device, err := parseMessage(msg, sizeofGenlmsghdr)
		if err != nil {
			return nil, err
		}
		for _, s := range wireguardSettings() {
			if value := device.attribute(s.typ); i == 0 && value != nil {
				l.addOption(wireguardPrefix+s.name, value)
			} else if i == 0 {
				l.addOption(wireguardPrefix+s.name, make([]byte, s.size))
			}
		}
		if peers, err = appendPeers(peers, device.attribute(unix.WGDEVICE_A_PEERS)); err != nil {
			return nil, err
		}
	}
	l.addOption(wireguardPrefix+wireguardPeers, peers)
	return l.Options, nil
}

// appendPeers appends the settings of peers, in such pieces that they fit in
// messages. The kernel may go on with a peer in its next message.
func appendPeers(to, list []byte) ([]byte, error) {
	peers, err := parseMessage(list, 0)
	if err != nil {
		return nil, err
	}
	for _, p := range peers.attrs {
		peer, err := parseMessage(p.Value, 0)
		if err != nil {
			return nil, err
		}
		prefixes, err := parseMessage(peer.attribute(unix.WGPEER_A_ALLOWEDIPS), 0)
		if err != nil {
			return nil, err
		}
		key := peer.attribute(unix.WGPEER_A_PUBLIC_KEY)
		peer.drop(unix.WGPEER_A_FLAGS, unix.WGPEER_A_LAST_HANDSHAKE_TIME, unix.WGPEER_A_RX_BYTES, unix.WGPEER_A_TX_BYTES,
			unix.WGPEER_A_ALLOWEDIPS)
		if len(peer.attrs) > 1 {
			to = append(to, nested(0, peer.bytes())...)
		}
		for _, prefix := range prefixes.attrs {
			piece := message{}
			piece.add(unix.WGPEER_A_PUBLIC_KEY, key)
			piece.add(unix.NLA_F_NESTED|unix.WGPEER_A_ALLOWEDIPS, nested(0, prefix.Value))
			to = append(to, nested(0, piece.bytes())...)
		}
	}
	return to, nil
}

// nested is an attribute that has attributes.
func nested(typ int, attrs []byte) []byte {
	return nl.NewRtAttr(unix.NLA_F_NESTED|typ, attrs).Serialize()
}

// setWireguard sets an option of WireGuard's by its name without the prefix.
func (ns *Namespace) setWireguard(index int, name string, value []byte) error {
	if name == wireguardPeers {
		return ns.setPeers(index, value)
	}
	for _, s := range wireguardSettings() {
		if s.name == name {
			_, err := ns.wireguard(unix.WG_CMD_SET_DEVICE, unix.NLM_F_ACK, index, nl.NewRtAttr(int(s.typ), value))
			return err
		}
	}
	return fmt.Errorf("no option %q", wireguardPrefix+name)
}

// setPeers replaces all peers.
func (ns *Namespace) setPeers(index int, value []byte) error {
	const piecesPerMessage = 100
	list, err := parseMessage(value, 0)
	if err != nil {
		return err
	}
	attrs := []*nl.RtAttr{nl.NewRtAttr(unix.WGDEVICE_A_FLAGS, nl.Uint32Attr(unix.WGDEVICE_F_REPLACE_PEERS))}
	pieces := slices.Collect(slices.Chunk(list.attrs, piecesPerMessage))
	for i := range max(1, len(pieces)) {
		if i < len(pieces) {
			some := message{attrs: pieces[i]}
			attrs = append(attrs, nl.NewRtAttr(unix.NLA_F_NESTED|unix.WGDEVICE_A_PEERS, some.bytes()))
		}
		if _, err := ns.wireguard(unix.WG_CMD_SET_DEVICE, unix.NLM_F_ACK, index, attrs...); err != nil {
			return err
		}
		attrs = nil
	}
	return nil
}

func (ns *Namespace) wireguard(command uint8, flags, index int, attrs ...*nl.RtAttr) ([][]byte, error) {
	family, err := ns.family(unix.WG_GENL_NAME)
	if err != nil {
		return nil, err
	}
	attrs = append([]*nl.RtAttr{nl.NewRtAttr(unix.WGDEVICE_A_IFINDEX, nl.Uint32Attr(uint32(index)))}, attrs...)
	msgs, err := ns.exchangeGeneric(genericRequest(family, flags, command, unix.WG_GENL_VERSION, attrs...), family)
	if err != nil {
		return nil, fmt.Errorf("WireGuard settings of ifindex %d: %w", index, classify(err))
	}
	return msgs, nil
}
