package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// pins keeps alive what sandboxes with devices need. It keeps a network namespace by a pin
// in the folder, which outlives the process, or by an open handle if no pin can be made. It
// keeps a BPF program that was taken off a device by an open descriptor.
type pins struct {
	kernel Kernel
	folder string
	log    *slog.Logger

	warnOnce sync.Once
	held     keyed[held] // by sandbox
}

// held is what this process keeps open for a sandbox.
type held struct {
	netns    netmove.Namespace // nil if the namespace is pinned
	programs []io.Closer
}

func newPins(kernel Kernel, state string, log *slog.Logger) *pins {
	return &pins{kernel: kernel, folder: filepath.Join(state, "netns"), log: log}
}

func (p *pins) path(sandbox string) string { return filepath.Join(p.folder, sandbox) }

// pin keeps the namespace alive until release. If no pin can be made, it keeps ns itself
// and says so: the caller must not close ns then.
func (p *pins) pin(sandbox string, ns netmove.Namespace) (kept bool, err error) {
	err = p.kernel.Pin(ns, p.path(sandbox))
	if !errors.Is(err, netmove.ErrCannotPin) {
		return false, err
	}
	p.warnOnce.Do(func() {
		p.log.Warn("pods' network namespaces cannot be pinned: virtual devices in them die if the plugin ends before they do", "err", err)
	})
	p.held.change(sandbox, func(h *held) { h.netns = ns })
	return true, nil
}

// holdPrograms keeps alive the programs that were taken off the devices of a record.
func (p *pins) holdPrograms(r *journal.Record) error {
	var programs []io.Closer
	var errs []error
	for _, a := range r.Devices {
		for _, program := range a.Before.Programs {
			if !program.Detached {
				continue
			}
			one, err := p.kernel.HoldProgram(program)
			if err != nil {
				errs = append(errs, fmt.Errorf("device %q: hold %w", a.Before.Name, err))
				continue
			}
			programs = append(programs, one)
		}
	}
	if len(programs) > 0 {
		p.held.change(r.Sandbox, func(h *held) { h.programs = append(h.programs, programs...) })
	}
	return errors.Join(errs...)
}

// count counts the namespaces that are kept alive.
func (p *pins) count() (n int) {
	files, _ := os.ReadDir(p.folder) // there is no folder before the first pin
	for _, sandbox := range p.held.keys() {
		p.held.look(sandbox, func(h *held) {
			if h.netns != nil {
				n++
			}
		})
	}
	return n + len(files)
}

// release lets go of a sandbox's namespace and programs. It may be repeated.
func (p *pins) release(sandbox string) error {
	err := p.kernel.Unpin(p.path(sandbox))
	p.held.dropIf(sandbox, func(h *held) bool {
		if h.netns != nil {
			err = errors.Join(err, h.netns.Close())
		}
		for _, program := range h.programs {
			err = errors.Join(err, program.Close())
		}
		return true
	})
	return err
}

// namespace opens the namespace of a record by its pin or by the runtime's path, and
// returns nil if the namespace is gone. It trusts no path whose namespace has another
// cookie. done closes the namespace. After an error it is unknown whether the namespace
// is gone.
func (p *pins) namespace(r *journal.Record) (ns netmove.Namespace, done func() error, err error) {
	nothing := func() error { return nil }
	if ns = p.kept(r.Sandbox); ns != nil {
		return ns, nothing, nil
	}
	var errs []error
	for _, path := range []string{p.path(r.Sandbox), r.Netns.Path} {
		ns, err := p.kernel.OpenNamespace(path)
		if errors.Is(err, netmove.ErrNotFound) || errors.Is(err, netmove.ErrNotNamespace) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if ns.Cookie() == r.Netns.Cookie {
			return ns, ns.Close, nil
		}
		if err := ns.Close(); err != nil {
			p.log.Error("close a network namespace", "netns", path, "err", err)
		}
	}
	return nil, nothing, errors.Join(errs...)
}

// kept returns the handle that stands in for a pin, nil for none.
func (p *pins) kept(sandbox string) (ns netmove.Namespace) {
	p.held.look(sandbox, func(h *held) { ns = h.netns })
	return ns
}

// pinned reports whether the sandbox's pin is in place.
func (p *pins) pinned(r *journal.Record) bool {
	inode, _ := p.kernel.InodeAt(p.path(r.Sandbox)) // 0 if there is none
	return inode == r.Netns.Inode
}

// renew pins the namespace of a record again if the pin is gone.
func (p *pins) renew(r *journal.Record) error {
	if p.kept(r.Sandbox) != nil || p.pinned(r) {
		return nil
	}
	ns, done, err := p.namespace(r)
	if ns == nil {
		return err
	}
	kept, err := p.pin(r.Sandbox, ns)
	if kept {
		return nil
	}
	return errors.Join(err, done())
}

// clean removes pins without a record, which a crash leaves. It keeps the pin of a sandbox
// whose record could not be read.
func (p *pins) clean(j *journal.Journal) error {
	entries, err := os.ReadDir(p.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pins: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if _, ok := j.Get(e.Name()); !ok && !j.WasSetAside(e.Name()) {
			errs = append(errs, p.kernel.Unpin(p.path(e.Name())))
		}
	}
	return errors.Join(errs...)
}
