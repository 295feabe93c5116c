package netmovetest

import (
	"errors"
	"io"
	"slices"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// AttachProgram puts a program on a device.
func (ns *Namespace) AttachProgram(index int, p netmove.Program) {
	ns.world.mu.Lock()
	defer ns.world.mu.Unlock()
	d := ns.devices[index]
	d.Programs = append(d.Programs, p)
}

// Hold makes the programs of a device ones that cannot be detached, or can
// again.
func (w *World) Hold(inode uint64, hold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = map[uint64]bool{}
	}
	w.held[inode] = hold
}

// Blind makes the kernel hide TCX programs, as where bpf(2) is refused.
func (w *World) Blind(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.blind = yes
}

// Programs reads the programs on a device.
func (ns *Namespace) Programs(dev netmove.Snapshot) (list []netmove.Program, err error) {
	err = ns.about(dev.Identity.Index, func(d *netmove.Snapshot) error {
		list = slices.Clone(d.Programs)
		if ns.world.blind {
			list = slices.DeleteFunc(list, func(p netmove.Program) bool { return p.Hook == netmove.TCXIngress || p.Hook == netmove.TCXEgress })
			return netmove.ErrUnseen
		}
		return nil
	})
	return list, err
}

// Detach detaches a program, unless it is held.
func (ns *Namespace) Detach(index int, p netmove.Program) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		if ns.world.held[d.Identity.Inode] {
			return errors.New("the program is held")
		}
		d.Programs = slices.DeleteFunc(d.Programs, func(q netmove.Program) bool { return p.Hook == q.Hook && p.ID == q.ID })
		return nil
	})
}

// HoldProgram counts who holds programs.
func (w *World) HoldProgram(netmove.Program) (io.Closer, error) {
	return holder{w}, w.do(func() error {
		w.holders++
		return nil
	})
}

// Holders is how many programs are held.
func (w *World) Holders() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.holders
}

type holder struct{ world *World }

// Close lets go of a program.
func (h holder) Close() error {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	h.world.holders--
	if h.world.closeFails {
		return ErrInjected
	}
	return nil
}

// Reattach attaches a program again, of which the world keeps all there ever were.
func (ns *Namespace) Reattach(index int, p netmove.Program) error {
	return ns.change(index, func(d *netmove.Snapshot) error {
		if ns.world.held[d.Identity.Inode] {
			return errors.New("the program is held")
		}
		d.Programs = append(slices.Clone(d.Programs), netmove.Program{Hook: p.Hook, ID: p.ID})
		return nil
	})
}
