package netmovetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// ErrInjected is the error of a step that a test made fail.
var ErrInjected = errors.New("injected")

// When tells whether a failing step has its effect.
type When int

// Kernel requests fail before they do anything, or with the work done but the
// answer lost, or not at all.
const (
	Never When = iota
	Before
	After
	Absent // before, with the answer that there is no such thing

	crash // ends the process, so to say
)

// World is a kernel and all its namespaces.
type World struct {
	mu         sync.Mutex
	namespaces map[string]*Namespace // by path; a pin is one more path
	all        []*Namespace          // those without a path, too
	cookies    uint64
	held       map[uint64]bool   // inodes of devices whose programs cannot be detached
	below      map[uint64]uint64 // by inode of a device, that of the one it is built on
	inodes     uint64
	facts      map[uint64]netmove.Facts    // by inode of a device
	hardware   map[uint64]netmove.Hardware // by inode of a device
	groups     map[uint64][]netmove.Entry  // by inode of a device that listens
	blind      bool
	forgetful  bool                // of permanent MACs
	watches    map[uint64][]func() // of the process in the namespace with that inode
	now        time.Duration
	stubborn   bool
	refusing   bool
	busy       bool // for whatever reason
	busyUp     bool // with devices that are up
	downs      int
	holders    int // of programs

	calls     int
	failAt    int
	lasting   bool // what failed once fails from then on
	when      When
	at        int
	interrupt func()
	gate      chan struct{}

	announcer announcer

	cannotPin  bool
	cannotOpen bool
	closeFails bool
}

// New makes a world with no namespaces.
func New() *World {
	return &World{namespaces: map[string]*Namespace{}, below: map[uint64]uint64{}, facts: map[uint64]netmove.Facts{}, hardware: map[uint64]netmove.Hardware{}, groups: map[uint64][]netmove.Entry{}, inodes: 1000, watches: map[uint64][]func(){}}
}

// Fail makes the nth request from now fail, 1 being the next one.
func (w *World) Fail(n int, when When) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.failAt, w.when, w.lasting = 0, n, when, false
}

// FailFrom makes the nth request from now and all later ones fail, before they do anything,
// until Fail is called.
func (w *World) FailFrom(n int) {
	w.Fail(n, Before)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lasting = true
}

// Interrupt has f called before the nth request from now does anything. The request waits
// for it.
func (w *World) Interrupt(n int, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls, w.at, w.interrupt = 0, n, f
}

// SetHardware says where the device with that inode is in the machine.
func (w *World) SetHardware(inode uint64, h netmove.Hardware) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hardware[inode] = h
}

// SetFacts says what decides whether the device with that inode may move.
func (w *World) SetFacts(inode uint64, f netmove.Facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts[inode] = f
}

// CannotPin makes Pin fail with ErrCannotPin, as where a process may not mount.
func (w *World) CannotPin(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cannotPin = yes
}

// CannotOpen makes OpenNamespace and WhenChanged fail, as where a process has all the descriptors that it may
// have.
func (w *World) CannotOpen(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cannotOpen = yes
}

// CloseFails makes Close of namespaces and programs return an error. They are closed
// nevertheless, as by close(2).
func (w *World) CloseFails(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closeFails = yes
}

// Handles counts the namespaces' handles that are open.
func (w *World) Handles() (open int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ns := range w.all {
		open += ns.handles
	}
	return open
}

// Crash makes the nth request from now panic before it does anything, as a
// process that is killed does no more.
func (w *World) Crash(n int) { w.Fail(n, crash) }

// Block makes every move wait until unblock is called, as a kernel does whose
// RTNL somebody holds.
func (w *World) Block() (unblock func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gate := make(chan struct{})
	w.gate = gate
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		close(gate)
		w.gate = nil
	}
}

// wait waits at the gate, if there is one.
func (w *World) wait() {
	w.mu.Lock()
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// Calls is the number of requests since the last Fail.
func (w *World) Calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls
}

// Sleep lets time pass.
func (w *World) Sleep(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now += d
}

// Now is the time since the world was made.
func (w *World) Now() netmove.BootOffset {
	w.mu.Lock()
	defer w.mu.Unlock()
	return netmove.BootOffset(w.now)
}

// do runs one request under the world's lock, unless it is the one to fail.
func (w *World) do(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.interrupt != nil && w.calls == w.at {
		interrupt := w.interrupt
		w.interrupt = nil
		w.mu.Unlock()
		interrupt()
		w.mu.Lock()
	}
	fails := w.calls == w.failAt || w.lasting && w.calls > w.failAt
	if fails && w.when == crash {
		panic("crash")
	}
	if fails && w.when == Before {
		return ErrInjected
	}
	if fails && w.when == Absent {
		return fmt.Errorf("%w: %w", ErrInjected, netmove.ErrNotFound)
	}
	err := f()
	if fails && w.when == After {
		return ErrInjected
	}
	return err
}

// AddNamespace makes a namespace with a lo, to be opened by that path.
func (w *World) AddNamespace(path string) *Namespace {
	w.mu.Lock()
	defer w.mu.Unlock()
	ns := w.newNamespace()
	ns.occupied = true
	w.namespaces[path] = ns
	return ns
}

func (w *World) newNamespace() *Namespace {
	w.cookies++
	ns := &Namespace{world: w, cookie: w.cookies, devices: map[int]*netmove.Snapshot{}}
	w.all = append(w.all, ns)
	ns.add(netmove.Device{
		Snapshot: netmove.Snapshot{Name: "lo", MTU: 65536},
		Facts:    netmove.Facts{Role: netmove.Role{Loopback: true, Immovable: true}},
	})
	return ns
}

// OpenNamespace opens a namespace that AddNamespace made.
func (w *World) OpenNamespace(path string) (opened netmove.Namespace, err error) {
	err = w.do(func() error {
		ns, ok := w.namespaces[path]
		if !ok {
			return fmt.Errorf("network namespace %s: %w", path, netmove.ErrNotFound)
		}
		if w.cannotOpen {
			return fmt.Errorf("network namespace %s: %w", path, ErrInjected)
		}
		opened = ns
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	opened.(*Namespace).handles++
	return opened, nil
}

// EndProcess closes every handle and lets go of every program, as the end of a process does.
func (w *World) EndProcess() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holders = 0
	for _, ns := range w.all {
		ns.handles = 0
		w.reap(ns)
	}
}

// RemoveNamespace takes the path away, as a runtime does at the end of a pod.
// If nothing else holds the namespace, it dies with the virtual devices in it,
// and hardware goes to the namespace "host".
func (w *World) RemoveNamespace(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ns := w.namespaces[path]
	delete(w.namespaces, path)
	w.reap(ns)
}

// reap ends the namespace unless something holds it.
func (w *World) reap(ns *Namespace) {
	if ns == nil || ns.dead || ns.handles > 0 || ns.occupied || ns.held {
		return
	}
	for _, other := range w.namespaces {
		if other == ns {
			return
		}
	}
	ns.dead = true
	for _, d := range ns.devices {
		if d.Identity.Parent == "" {
			continue
		}
		host := w.namespaces["host"]
		name := d.Name
		if host.named(name) != nil {
			name = fmt.Sprintf("dev%d", d.Identity.Index)
		}
		d.Altnames = slices.DeleteFunc(d.Altnames, func(alt string) bool { return host.named(alt) != nil })
		ns.transfer(d, host, 0)
		d.Name = name
	}
	clear(ns.devices)
}

// Pin is one more path of the namespace.
func (w *World) Pin(ns netmove.Namespace, path string) error {
	return w.do(func() error {
		if w.cannotPin {
			return netmove.ErrCannotPin
		}
		w.namespaces[path] = ns.(*Namespace)
		return nil
	})
}

// Unpin takes that path away.
func (w *World) Unpin(path string) error {
	return w.do(func() error {
		ns := w.namespaces[path]
		delete(w.namespaces, path)
		w.reap(ns)
		return nil
	})
}

// InodeAt is the cookie of the namespace at path.
func (w *World) InodeAt(path string) (inode uint64, err error) {
	err = w.do(func() error {
		ns, ok := w.namespaces[path]
		if !ok {
			return fmt.Errorf("network namespace %s: %w", path, netmove.ErrNotFound)
		}
		inode = ns.cookie
		return nil
	})
	return inode, err
}

// Inhabits takes the inode of a namespace for the only process in it.
func (w *World) Inhabits(pid int, inode uint64) (bool, error) {
	occupied, err := w.Occupied(inode)
	return occupied && uint64(pid) == inode, err
}

// WhenEnded takes the inode of a namespace for the only process in it, which
// ends with Leave. What stop stops is not looked at.
func (w *World) WhenEnded(pid int, ended func()) (stop func(), err error) {
	return func() {}, w.do(func() error {
		w.watches[uint64(pid)] = append(w.watches[uint64(pid)], ended)
		return nil
	})
}

// Occupied reports whether a process is in the namespace, whose inode number
// is its cookie here.
func (w *World) Occupied(inode uint64) (occupied bool, err error) {
	err = w.do(func() error {
		for _, ns := range w.all {
			if ns.cookie == inode && ns.occupied {
				occupied = true
			}
		}
		return nil
	})
	return occupied, err
}

// String prints every namespace with its devices, in a stable order.
func (w *World) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(w.namespaces)) {
		fmt.Fprintf(&b, "%s\n", path)
		ns := w.namespaces[path]
		for _, r := range ns.rules {
			fmt.Fprintf(&b, "  rule %s\n", r.Text)
		}
		for _, index := range slices.Sorted(maps.Keys(ns.devices)) {
			b.WriteString(w.burden(ns.devices[index]))
			printDevice(&b, ns.devices[index])
		}
	}
	return b.String()
}

func printDevice(b *strings.Builder, d *netmove.Snapshot) {
	fmt.Fprintf(b, "  %d %s inode %d altnames %q alias %q mac %s mtu %d qlen %d group %d master %d flags [%s]\n",
		d.Identity.Index, d.Name, d.Identity.Inode, slices.Sorted(slices.Values(d.Altnames)), d.Alias,
		d.MAC, d.MTU, d.TxQueueLen, d.Group, d.Master.Index, d.Flags)
	for _, a := range d.Addresses {
		fmt.Fprintf(b, "    %s label %q scope %d flags %#x metric %d proto %d valid %d preferred %d\n",
			a, a.Label, a.Scope, a.Flags, a.Metric, a.Protocol, a.Valid, a.Preferred)
	}
	for _, e := range slices.SortedFunc(slices.Values(d.Entries), func(a, b netmove.Entry) int { return cmp.Compare(a.Text, b.Text) }) {
		fmt.Fprintf(b, "    %s %s %x\n", e.Table, e.Text, e.Message)
	}
	for _, o := range slices.SortedFunc(slices.Values(d.Options), func(a, b netmove.Option) int { return cmp.Compare(a.Name, b.Name) }) {
		fmt.Fprintf(b, "    option %s %s\n", o.Name, o.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Sysctls)) {
		fmt.Fprintf(b, "    sysctl %s %s\n", name, d.Sysctls[name])
	}
}
