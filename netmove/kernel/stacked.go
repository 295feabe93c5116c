package kernel

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Stacked finds the devices built on one of another namespace. Of a device that
// is built on another, IFLA_LINK is the other's ifindex, and IFLA_LINK_NETNSID
// the id of its namespace; the kernel tells that id as the asking socket's
// namespace knows it, also in a dump of a third one (rtnl_fill_link_netnsid).
func (ns *Namespace) Stacked(below netmove.Namespace, index int) ([]netmove.Upper, error) {
	b, ok := below.(*Namespace)
	if !ok {
		return nil, fmt.Errorf("look on a device in a %T: not a namespace of this kernel", below)
	}
	id, err := ns.idOf(int(b.file))
	if err != nil {
		return nil, err
	}
	if err := ns.settle(); err != nil {
		return nil, err
	}
	on := func(lower int) bool { return lower == index }
	// A device that is moved on meanwhile is met here, before the namespaces are
	// listed that it can have gone to, or there; one that is moved back, at the end.
	found, err := ns.stackedIn(netmove.Here, on)
	if err != nil {
		return nil, err
	}
	where, err := ns.nested(id)
	if err != nil {
		return nil, err
	}
	if len(where) > 0 {
		where = append(where, netmove.Here)
	}
	for _, nsid := range where {
		more, err := ns.stackedIn(nsid, on)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	if len(found) > 0 && id == unix.NETNSA_NSID_NOT_ASSIGNED {
		// The dump has given it one, if it has told of a device on one of below's.
		if id, err = ns.idOf(int(b.file)); id == unix.NETNSA_NSID_NOT_ASSIGNED || err != nil {
			return nil, err
		}
	}
	found = slices.DeleteFunc(found, func(u upper) bool { return u.lowerNetns != id })
	return ns.describe(found, id)
}

// settle waits for the end of moves that are under way. A device that moves is in
// no namespace's list for some 15 ms, and a dump does not wait for that as it
// takes no RTNL since Linux 6.10 (RTNL_FLAG_DUMP_UNLOCKED). A request that changes
// nothing does.
func (ns *Namespace) settle() error {
	if err := ns.newLink(ifInfo(netmove.LoopbackIndex)); err != nil {
		return fmt.Errorf("wait for moves of others: %w", err)
	}
	return nil
}

// upper is a device that was found by number.
type upper struct {
	link
	nsid int
}

// nested lists the namespaces that this one knows, but itself and that one.
func (ns *Namespace) nested(below int) ([]int, error) {
	ids, err := ns.known()
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id int) bool { return id == below })
	if len(ids) == 0 {
		return nil, nil
	}
	self, err := ns.idOf(int(ns.file))
	return slices.DeleteFunc(ids, func(id int) bool { return id == self }), err
}

// stackedIn reads the devices of a namespace that stand on one of another
// namespace, for whose ifindex on is true. A namespace that has died has none.
func (ns *Namespace) stackedIn(nsid int, on func(lower int) bool) ([]upper, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
	req.AddData(&nl.IfInfomsg{})
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(rtextFilterSkipStats)))
	addTarget(req, nsid)
	list, err := gather(ns, req, unix.RTM_NEWLINK, func(list *[]upper, msg []byte) error {
		if !mayStandElsewhere(msg) {
			return nil // nearly all of them, and taking one apart costs more than reading it
		}
		l, err := parseLink(slices.Clone(msg))
		if err == nil && l.lowerForeign && on(l.standsOn()) {
			*list = append(*list, upper{l, nsid})
		}
		return err
	})
	if nsid != netmove.Here && is(err, unix.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("devices of the namespace with id %d: %w", nsid, err)
	}
	return list, nil
}

// mayStandElsewhere reports whether an RTM_NEWLINK may be about a device that is built on
// one of another namespace.
func mayStandElsewhere(msg []byte) bool {
	if len(msg) < unix.SizeofIfInfomsg {
		return true // which is an error
	}
	attrs := msg[unix.SizeofIfInfomsg:]
	kind := findAttribute(findAttribute(attrs, unix.IFLA_LINKINFO), unix.IFLA_INFO_KIND)
	return findAttribute(attrs, unix.IFLA_LINK_NETNSID) != nil && !isPair(unix.ByteSliceToString(kind))
}

// standsOn is the ifindex of the device that this one is built on, 0 for none. Kinds that
// do not say what that is have their own ifindex as IFLA_LINK in another namespace
// (rtnl_fill_ifinfo), and the ends of pairs that of the other end.
func (l *link) standsOn() int {
	switch kind := l.Identity.Kind; {
	case kind == "vxlan":
		return int(u32(l.value("vxlan." + strconv.Itoa(unix.IFLA_VXLAN_LINK))))
	case isPair(kind), slices.Contains([]string{"geneve", "gtp", "bareudp", "wireguard"}, kind):
		return 0
	}
	return l.lower
}

// value is that of the option with that name, nil if it is not told.
func (l *link) value(name string) []byte {
	for _, o := range l.Options {
		if o.Name == name {
			return o.Value
		}
	}
	return nil
}

// addTarget makes a request one about the namespace with that id.
func addTarget(req *nl.NetlinkRequest, nsid int) {
	if nsid != netmove.Here {
		req.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(nsid))))
	}
}

// describe tells of each device whose it may be. There is next to never one.
func (ns *Namespace) describe(found []upper, below int) ([]netmove.Upper, error) {
	if len(found) == 0 {
		return nil, nil
	}
	shared, err := ns.knownTo(below)
	if err != nil {
		return nil, err
	}
	birth, err := ns.birth()
	if err != nil {
		return nil, err
	}
	var list []netmove.Upper
	for _, u := range found {
		err := ns.identifyUpper(&u)
		if errors.Is(err, netmove.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", u.Name, err)
		}
		list = append(list, netmove.Upper{
			Snapshot: u.Snapshot, Nsid: u.nsid,
			Elder:  u.Identity.Inode != 0 && u.Identity.Inode < birth,
			Shared: u.nsid != netmove.Here && slices.Contains(shared, u.nsid),
		})
	}
	return list, nil
}

// birth is the inode of the namespace's lo, its first device, which cannot go.
// Inodes of sysfs only grow (__kernfs_new_node), so that what has a smaller one
// is older than the namespace.
func (ns *Namespace) birth() (uint64, error) {
	id, err := ns.identityOf(netmove.LoopbackIndex)
	return id.Inode, err
}

// identifyUpper fills in the identity, if there is a way into the device's
// namespace.
func (ns *Namespace) identifyUpper(u *upper) (err error) {
	if u.nsid == netmove.Here {
		u.Identity, err = ns.identityOf(u.Identity.Index)
		return err
	}
	inside, err := ns.enter(u.nsid)
	if inside == nil || err != nil {
		return err
	}
	u.Identity, err = inside.identityOf(u.Identity.Index)
	return errors.Join(err, inside.Close())
}

// Unstack deletes a device that Stacked has found.
func (ns *Namespace) Unstack(u netmove.Upper) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(ifInfo(u.Identity.Index))
	addTarget(req, u.Nsid)
	_, err := ns.exchange(req, 0)
	if u.Nsid != netmove.Here && is(err, unix.EINVAL) {
		return fmt.Errorf("its namespace: %w: %w", netmove.ErrNotFound, err)
	}
	return classify(err)
}
