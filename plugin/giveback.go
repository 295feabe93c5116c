package plugin

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// reason says why devices are given back, for the log.
type reason string

const (
	podEnded   reason = "the pod ended"
	unfinished reason = "an earlier operation was not completed"
)

// giveBack brings home what a sandbox holds. It may be called in any order
// with anything else, any number of times. What cannot be brought home stays
// in the journal, for the sweep.
func (p *Plugin) giveBack(sandbox string, why reason) {
	defer p.locks.lock(sandbox)()
	record, ok := p.journal.Get(sandbox)
	if !ok {
		return
	}
	log := recordLog(p.log, record)
	began := time.Now()
	left := *record
	left.State = journal.Returning
	left.Devices = nil
	p.note(log, record, journal.Returning)
	netns := p.openHeld(log, record)
	for _, a := range slices.Backward(record.Devices) {
		if !p.giveBackOne(log, netns, &a) {
			left.Devices = append(left.Devices, a)
		}
	}
	if len(left.Devices) > 0 {
		slices.Reverse(left.Devices)
		p.put(log, &left)
		return
	}
	if err := p.forget(sandbox); err != nil {
		log.Error("cannot forget the sandbox", "err", err)
		return
	}
	log.Info("devices returned", "why", string(why), "devices", names(record.Devices), "took", time.Since(began))
}

// note writes that the devices of a record are on their way. The return does
// not depend on it: a full disk must not keep a device in a dead pod.
func (p *Plugin) note(log *slog.Logger, record *journal.Record, state journal.State) {
	if record.State == state {
		return
	}
	r := *record
	r.State = state
	p.put(log, &r)
}

func (p *Plugin) put(log *slog.Logger, r *journal.Record) {
	if err := p.journal.Put(r); err != nil {
		log.Error("cannot write the record", "err", err)
	}
}

// giveBackOne returns one device and reports whether that is done with.
func (p *Plugin) giveBackOne(log *slog.Logger, netns netmove.Namespace, a *netmove.Attachment) bool {
	back := *a
	if p.config.Load().OnReturn == config.Down {
		back.Before.Flags.Up, back.Before.Addresses = false, nil
	}
	err := p.mover.Undo(netns, netmove.Plan{back})
	switch {
	case err == nil:
		p.told.forget(a.Before.Identity.Inode)
		return true
	case errors.Is(err, netmove.ErrLost):
		log.Error("device is lost", "device", a.Before.Name, "err", err)
		return true
	default:
		// The sweep tries again every second: what it meets is told when it
		// is new.
		if p.told.anew(a.Before.Identity.Inode, err.Error()) {
			log.Error("device cannot be returned yet", "device", a.Before.Name, "err", err)
		}
		return false
	}
}

// openHeld is the namespace of a record's sandbox, nil when it is gone. The
// path alone proves nothing: another namespace may have been put there.
func (p *Plugin) openHeld(log *slog.Logger, record *journal.Record) netmove.Namespace {
	if netns := p.held.get(record.Sandbox); netns != nil {
		return netns
	}
	netns, err := p.mover.Kernel.OpenNamespace(record.Netns.Path)
	if err != nil {
		log.Warn("the pod's network namespace is gone", "netns", record.Netns.Path, "err", err)
		return nil
	}
	if netns.Cookie() != record.Netns.Cookie {
		log.Warn("the path of the pod's network namespace means another one now", "netns", record.Netns.Path)
		if err := netns.Close(); err != nil {
			log.Error("close a network namespace", "err", err)
		}
		return nil
	}
	p.held.add(record.Sandbox, netns)
	return netns
}

func names(devices []netmove.Attachment) []string {
	var list []string
	for _, a := range devices {
		list = append(list, a.Before.Name)
	}
	return list
}

func recordLog(log *slog.Logger, r *journal.Record) *slog.Logger {
	return log.With("pod", r.Pod.String(), "uid", r.Pod.UID, "sandbox", r.Sandbox)
}

// namespaces are the open namespaces of sandboxes that hold devices: as long
// as one is open, the devices in it live, whatever becomes of the pod's
// processes. The zero value is ready.
type namespaces struct {
	mu   sync.Mutex
	open map[string]netmove.Namespace
}

func (n *namespaces) add(sandbox string, ns netmove.Namespace) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open = map[string]netmove.Namespace{}
	}
	n.open[sandbox] = ns
}

func (n *namespaces) get(sandbox string) netmove.Namespace {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open[sandbox]
}

// drop closes a sandbox's namespace, if it is open.
func (n *namespaces) drop(sandbox string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	ns, ok := n.open[sandbox]
	if !ok {
		return nil
	}
	delete(n.open, sandbox)
	return ns.Close()
}
