package kernel

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/cilium/ebpf"
	bpflink "github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Programs reads the XDP and TCX programs of the device, and the queues of a tap. XDP is told
// by rtnetlink; only for a device that has such a program, the links of the whole
// node are looked through for the one that holds it.
func (ns *Namespace) Programs(dev netmove.Snapshot) ([]netmove.Program, error) {
	l, err := ns.linkByIndex(dev.Identity.Index)
	if err != nil {
		return nil, err
	}
	l.Parts = dev.Parts
	return ns.programs(l)
}

func (ns *Namespace) programs(l link) ([]netmove.Program, error) {
	list := l.xdp
	var errs []error
	for i, p := range list {
		ids, err := ns.kernel.xdpLinks(l.Identity.Index, p.ID)
		if len(ids) == 1 {
			list[i].Link = uint32(ids[0])
		}
		errs = append(errs, unseen(err))
	}
	tcx, err := ns.tcx(l.Identity.Index)
	list, errs = append(list, tcx...), append(errs, err)
	queues, err := ns.tunQueues(l)
	return append(list, queues...), errors.Join(append(errs, err)...)
}

// tcx asks for the TCX programs of the device, one bpf(2) call a hook. The
// kernel looks for the ifindex in the namespace of the thread
// (tcx_prog_query).
func (ns *Namespace) tcx(index int) (list []netmove.Program, err error) {
	err = ns.do(func() error {
		for _, hook := range []netmove.Hook{netmove.TCXIngress, netmove.TCXEgress} {
			found, err := bpflink.QueryPrograms(bpflink.QueryOptions{Target: index, Attach: tcxHook(hook)})
			if errors.Is(err, ebpf.ErrNotSupported) {
				err = refusal()
			}
			if err != nil || found == nil {
				return unseen(err)
			}
			for _, p := range found.Programs {
				id, _ := p.LinkID()
				list = append(list, netmove.Program{Hook: hook, ID: uint32(p.ID), Link: uint32(id)})
			}
		}
		return nil
	})
	return list, err
}

// unseen gives the answers to a question about programs their meaning. A kernel
// that does not know TCX (EINVAL), links or bpf(2) has no such programs.
func unseen(err error) error {
	switch {
	case is(err, unix.EINVAL, unix.ENOSYS):
		return nil
	case is(err, unix.EPERM, unix.EACCES):
		return fmt.Errorf("%w: %w", netmove.ErrUnseen, err)
	}
	return classify(err)
}

// refusal asks the kernel itself why it does not tell programs: the library takes
// any error for a kernel that cannot. A question of an attach type that there is
// not has EINVAL for an answer from a kernel that can.
func refusal() error {
	attr := [16]uint64{^uint64(0)} // target_ifindex and attach_type
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_QUERY, uintptr(unsafe.Pointer(&attr[0])), unsafe.Sizeof(attr))
	return errno
}

func tcxHook(hook netmove.Hook) ebpf.AttachType {
	if hook == netmove.TCXEgress {
		return ebpf.AttachTCXEgress
	}
	return ebpf.AttachTCXIngress
}

// Detach takes the program off the device.
func (ns *Namespace) Detach(index int, p netmove.Program) error {
	switch p.Hook {
	case netmove.XDPGeneric:
		return ns.detachXDP(index, p, xdpGenericMode)
	case netmove.XDPDriver:
		return ns.detachXDP(index, p, xdpDriverMode)
	case netmove.XDPHardware:
		return ns.detachXDP(index, p, xdpHardwareMode)
	case netmove.TunQueue:
		return errors.New("the kernel takes it away when the process ends, or closes its descriptor")
	}
	if p.Link != 0 {
		return ns.kernel.detachLink(bpflink.ID(p.Link))
	}
	return ns.detachTCX(index, p)
}

// HoldProgram keeps the program alive by a descriptor.
func (k Linux) HoldProgram(p netmove.Program) (io.Closer, error) {
	program, err := k.program(p.ID)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	return program, nil
}

// program opens the program with that id.
func (k Linux) program(id uint32) (*ebpf.Program, error) {
	defer k.watch("opening a BPF program")()
	program, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	return program, classify(err)
}

// Reattach puts the program on the device again.
func (ns *Namespace) Reattach(index int, p netmove.Program) error {
	program, err := ns.kernel.program(p.ID)
	if err != nil {
		return err
	}
	switch p.Hook {
	case netmove.XDPGeneric:
		err = ns.attachXDP(index, program.FD(), xdpGenericMode)
	case netmove.XDPDriver:
		err = ns.attachXDP(index, program.FD(), xdpDriverMode)
	case netmove.XDPHardware:
		err = ns.attachXDP(index, program.FD(), xdpHardwareMode)
	default:
		err = ns.do(func() error {
			return classify(bpflink.RawAttachProgram(bpflink.RawAttachProgramOptions{
				Target: index, Program: program, Attach: tcxHook(p.Hook),
			}))
		})
	}
	return errors.Join(err, program.Close())
}

// detachTCX takes off a program that was attached without a link.
func (ns *Namespace) detachTCX(index int, p netmove.Program) error {
	program, err := ns.kernel.program(p.ID)
	if err != nil {
		return err
	}
	err = ns.do(func() error {
		return classify(bpflink.RawDetachProgram(bpflink.RawDetachProgramOptions{
			Target: index, Program: program, Attach: tcxHook(p.Hook),
		}))
	})
	return errors.Join(err, program.Close())
}

// detachLink ends what a link holds, whoever has descriptors of the link
// (BPF_LINK_DETACH).
func (k Linux) detachLink(id bpflink.ID) error {
	defer k.watch("detaching a BPF program")()
	l, err := bpflink.NewFromID(id)
	if errors.Is(err, unix.ENOENT) {
		return nil // it ended by itself
	}
	if err != nil {
		return err
	}
	return errors.Join(l.Detach(), l.Close())
}

// xdpLinks finds the links that hold the program on a device with that ifindex.
// The kernel tells of a link's device the ifindex alone
// (bpf_xdp_link_fill_link_info), so there may be one more of them where a device
// of another namespace has the same ifindex and the same program.
func (k Linux) xdpLinks(index int, program uint32) ([]bpflink.ID, error) {
	defer k.watch("looking through BPF links")()
	var ids []bpflink.ID
	it := new(bpflink.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			return nil, err
		}
		xdp := info.XDP()
		if xdp != nil && int(xdp.Ifindex) == index && uint32(info.Program) == program {
			ids = append(ids, it.ID)
		}
	}
	return ids, it.Err()
}
