package plugin

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

// holds keeps alive what sandboxes with devices need. Network namespaces: by a pin in the
// folder, which outlives the process, or where that cannot be made by an open handle. BPF
// programs that were taken off a device: by an open descriptor.
type holds struct {
	kernel netmove.Kernel
	folder string
	log    *slog.Logger

	warnOnce sync.Once
	mu       sync.Mutex
	open     map[string]netmove.Namespace // what is not pinned
	programs map[string][]io.Closer
}

func newHolds(kernel netmove.Kernel, state string, log *slog.Logger) *holds {
	return &holds{kernel: kernel, folder: filepath.Join(state, "netns"), log: log, open: map[string]netmove.Namespace{}, programs: map[string][]io.Closer{}}
}

func (h *holds) path(sandbox string) string { return filepath.Join(h.folder, sandbox) }

// hold keeps the namespace alive until release. Where there can be no pin, the
// handle is the hold's from then on, and kept is true.
func (h *holds) hold(sandbox string, ns netmove.Namespace) (kept bool, err error) {
	err = h.kernel.Pin(ns, h.path(sandbox))
	if !errors.Is(err, netmove.ErrCannotPin) {
		return false, err
	}
	h.warnOnce.Do(func() {
		h.log.Warn("pods' network namespaces cannot be pinned: virtual devices in them die if the plugin ends before they do", "err", err)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[sandbox] = ns
	return true, nil
}

// holdPrograms keeps the programs alive that are off the devices of a record.
func (h *holds) holdPrograms(r *journal.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, a := range r.Devices {
		for _, p := range a.Before.Programs {
			if !p.Detached {
				continue
			}
			held, err := h.kernel.HoldProgram(p)
			if err != nil {
				errs = append(errs, fmt.Errorf("device %q: hold %w", a.Before.Name, err))
				continue
			}
			h.programs[r.Sandbox] = append(h.programs[r.Sandbox], held)
		}
	}
	return errors.Join(errs...)
}

// count is how many namespaces are held.
func (h *holds) count() int {
	pins, _ := os.ReadDir(h.folder) // made with the first one
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(pins) + len(h.open)
}

// release lets go of a sandbox's namespace. It may be repeated.
func (h *holds) release(sandbox string) error {
	err := h.kernel.Unpin(h.path(sandbox))
	h.mu.Lock()
	defer h.mu.Unlock()
	if ns, ok := h.open[sandbox]; ok {
		delete(h.open, sandbox)
		err = errors.Join(err, ns.Close())
	}
	for _, held := range h.programs[sandbox] {
		err = errors.Join(err, held.Close())
	}
	delete(h.programs, sandbox)
	return err
}

// namespace opens the namespace of a record, by its pin or by the runtime's
// path, and nil when it is gone. No path is trusted before the cookie shows
// what is there. done closes what was opened. An error means that it is not
// known whether it is gone.
func (h *holds) namespace(r *journal.Record) (ns netmove.Namespace, done func() error, err error) {
	nothing := func() error { return nil }
	h.mu.Lock()
	ns, ok := h.open[r.Sandbox]
	h.mu.Unlock()
	if ok {
		return ns, nothing, nil
	}
	var errs []error
	for _, path := range []string{h.path(r.Sandbox), r.Netns.Path} {
		ns, err := h.kernel.OpenNamespace(path)
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
			h.log.Error("close a network namespace", "netns", path, "err", err)
		}
	}
	return nil, nothing, errors.Join(errs...)
}

// pinned reports whether the sandbox's pin is in place.
func (h *holds) pinned(r *journal.Record) bool {
	inode, err := h.kernel.InodeAt(h.path(r.Sandbox))
	return err == nil && inode == r.Netns.Inode
}

// renew pins the namespace of a record again, where the pin is gone.
func (h *holds) renew(r *journal.Record) error {
	h.mu.Lock()
	_, open := h.open[r.Sandbox]
	h.mu.Unlock()
	if open || h.pinned(r) {
		return nil
	}
	ns, done, err := h.namespace(r)
	if ns == nil {
		return err
	}
	kept, err := h.hold(r.Sandbox, ns)
	if kept {
		return err
	}
	return errors.Join(err, done())
}

// clean removes pins of sandboxes that have no record, left by a crash between
// the two. A sandbox whose record could not be read may need its pin.
func (h *holds) clean(j *journal.Journal) error {
	entries, err := os.ReadDir(h.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pins: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if _, ok := j.Get(e.Name()); !ok && !j.WasSetAside(e.Name()) {
			errs = append(errs, h.kernel.Unpin(h.path(e.Name())))
		}
	}
	return errors.Join(errs...)
}
