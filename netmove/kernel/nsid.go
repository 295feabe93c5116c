package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// rtgenmsg is struct rtgenmsg of linux/rtnetlink.h, padded as a header is.
type rtgenmsg struct{}

func (rtgenmsg) Len() int          { return unix.NLMSG_ALIGNTO }
func (rtgenmsg) Serialize() []byte { return make([]byte, unix.NLMSG_ALIGNTO) }

// known lists the namespaces that this one knows, by the ids they have here.
// It knows those that a device of it was moved to, or came from, and those of
// the far ends of its devices (peernet2id_alloc). An id is given to another
// namespace only when its own is dead.
func (ns *Namespace) known() ([]int, error) { return ns.nsids(unix.NETNSA_NSID) }

// knownTo lists the namespaces that the one with that id knows, by the ids they
// have here.
func (ns *Namespace) knownTo(id int) ([]int, error) {
	return ns.nsids(unix.NETNSA_CURRENT_NSID, nl.NewRtAttr(unix.NETNSA_TARGET_NSID, nl.Uint32Attr(uint32(id))))
}

func (ns *Namespace) nsids(wanted uint16, attrs ...*nl.RtAttr) ([]int, error) {
	msgs, err := ns.dump(nsidRequest(unix.NLM_F_DUMP, attrs...), unix.RTM_NEWNSID)
	if err != nil {
		return nil, fmt.Errorf("ids of network namespaces: %w", err)
	}
	var list []int
	for _, msg := range msgs {
		id, err := parseNsid(msg, wanted)
		if err != nil {
			return nil, err
		}
		if id != unix.NETNSA_NSID_NOT_ASSIGNED {
			list = append(list, id)
		}
	}
	return list, nil
}

// idOf is the id that a namespace has here, NETNSA_NSID_NOT_ASSIGNED for one
// that is not known.
func (ns *Namespace) idOf(fd int) (int, error) {
	msgs, err := ns.exchange(nsidRequest(0, nl.NewRtAttr(unix.NETNSA_FD, nl.Uint32Attr(uint32(fd)))), unix.RTM_NEWNSID)
	if err != nil {
		return 0, fmt.Errorf("id of a network namespace: %w", err)
	}
	if len(msgs) != 1 {
		return 0, fmt.Errorf("%d answers to RTM_GETNSID, want 1", len(msgs))
	}
	return parseNsid(msgs[0], unix.NETNSA_NSID)
}

func nsidRequest(flags int, attrs ...*nl.RtAttr) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.RTM_GETNSID, flags)
	req.AddData(rtgenmsg{})
	for _, a := range attrs {
		req.AddData(a)
	}
	return req
}

func parseNsid(msg []byte, wanted uint16) (int, error) {
	id := unix.NETNSA_NSID_NOT_ASSIGNED
	if len(msg) < unix.NLMSG_ALIGNTO {
		return id, fmt.Errorf("short RTM_NEWNSID")
	}
	attrs, err := nl.ParseRouteAttr(msg[unix.NLMSG_ALIGNTO:])
	for _, a := range attrs {
		if a.Attr.Type == wanted && len(a.Value) >= 4 {
			id = int(int32(binary.NativeEndian.Uint32(a.Value)))
		}
	}
	return id, err
}

// enter opens the namespace that has that id here by way of a process that is in
// it, since the kernel has no way from an id to a descriptor. It returns nil if
// /proc shows no such process.
func (ns *Namespace) enter(id int) (*Namespace, error) {
	paths, err := ns.kernel.namespacesOfProcesses()
	if err != nil {
		return nil, err
	}
	seen := map[uint64]bool{ns.inode: true}
	for _, path := range paths {
		inode, err := ns.kernel.InodeAt(path)
		if err != nil || seen[inode] {
			continue // it ended, or does not show itself
		}
		seen[inode] = true
		file, err := ns.kernel.openFile(path)
		if err != nil {
			continue // its process has ended meanwhile
		}
		if found, err := ns.openIf(id, file, path); found != nil || err != nil {
			return found, err
		}
	}
	return nil, nil
}

// namespacesOfProcesses are the paths of the network namespaces of all processes in /proc.
func (k Linux) namespacesOfProcesses() ([]string, error) {
	defer k.watch("listing the processes")()
	return filepath.Glob("/proc/[0-9]*/ns/net")
}

// openIf makes a handle of the file if its namespace is the one with that id here, and
// closes the file if not.
func (ns *Namespace) openIf(id int, file netns.NsHandle, path string) (*Namespace, error) {
	got, err := ns.idOf(int(file))
	if got != id || err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return ns.kernel.handle(file, path, false)
}
