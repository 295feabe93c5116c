package plugin

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// reason says why devices are given back, for the log.
type reason string

const (
	podEnded   reason = "the pod ended"
	podGone    reason = "nothing is left of the pod"
	podAgain   reason = "the pod starts again in a new sandbox"
	unfinished reason = "an earlier operation was not completed"
	strayed    reason = "the kernel brought it home from a namespace that died"
)

// giveBack brings home what a sandbox holds. It may be called in any order
// with anything else, any number of times. What cannot be brought home, or is
// home and not yet as it was, stays in the journal, for the sweep.
func (p *Plugin) giveBack(sandbox string, why reason) {
	defer p.locks.lock(sandbox)()
	record, ok := p.journal.Get(sandbox)
	if !ok || record.State == journal.Lost {
		return
	}
	g := &giving{Plugin: p, log: recordLog(p.log, record), why: why, left: *record}
	// The return does not depend on this being written: a full disk must not
	// keep a device in a dead pod.
	g.setState(journal.Returning)
	g.left.Devices = nil
	g.run(record.Devices)
}

// giveBackOne brings home one device of a sandbox that goes on having the
// others.
func (p *Plugin) giveBackOne(sandbox string, id netmove.Identity, why reason) {
	defer p.locks.lock(sandbox)()
	record, ok := p.journal.Get(sandbox)
	if !ok || record.State != journal.Attached {
		return
	}
	g := &giving{Plugin: p, log: recordLog(p.log, record), why: why, left: *record}
	var one []netmove.Attachment
	g.left.Devices = nil
	for _, a := range record.Devices {
		if a.Before.Identity.Same(id) {
			one = append(one, a)
			continue
		}
		g.left.Devices = append(g.left.Devices, a)
		g.away = true
	}
	g.run(one)
}

// missesOfALoss is how often in a row a device is looked for in vain before it
// counts as lost. Until then its namespace stays pinned.
const missesOfALoss = 3

// giving is one return of devices of a sandbox.
type giving struct {
	*Plugin
	log  *slog.Logger
	why  reason
	left journal.Record // with the devices that are not done with
	home []string       // names of those that are home and as they were
	away bool           // a device is, or may be, still in the pod
	held bool           // its namespace could not be let go of
}

// run returns the devices and writes what is left.
func (g *giving) run(devices []netmove.Attachment) {
	began := time.Now()
	g.all(devices)
	if !g.away {
		err := g.holds.release(g.left.Sandbox)
		g.check("let go of the pod's network namespace", err)
		g.held = err != nil
	}
	g.finish()
	if len(g.home) > 0 {
		g.log.Info("devices returned", "why", string(g.why), "devices", g.home, "took", time.Since(began))
	}
}

func (g *giving) check(what string, err error) {
	if err != nil {
		g.log.Error("cannot "+what, "err", err)
	}
}

func (g *giving) setState(s journal.State) {
	if g.left.State == s {
		return
	}
	g.left.State = s
	g.check("write the record", g.journal.Put(&g.left))
}

// all returns the devices, last one first. Those that are not done with are
// what is left.
func (g *giving) all(devices []netmove.Attachment) {
	netns, closeNetns, err := g.holds.namespace(&g.left)
	if err != nil {
		g.away = true
		if g.told.anew(g.left.Sandbox, err.Error()) {
			g.log.Error("cannot open the pod's network namespace", "err", err)
		}
		g.left.Devices = append(slices.Clone(g.left.Devices), devices...)
		return
	}
	if netns == nil && g.told.anew(g.left.Sandbox, "gone") {
		g.log.Warn("the pod's network namespace is gone", "netns", g.left.Netns.Path)
	}
	left := slices.Clone(g.left.Devices)
	for _, a := range slices.Backward(devices) {
		if !g.one(netns, a) {
			left = append(left, a)
		}
	}
	g.left.Devices = left
	g.check("close the pod's network namespace", closeNetns())
}

// one returns one device and reports whether that is done with.
func (g *giving) one(netns netmove.Namespace, a netmove.Attachment) bool {
	back := a
	if g.left.Committed && g.config.Load().OnReturn == config.Down {
		back.Before.Flags.Up, back.Before.Addresses = false, nil
	}
	device := a.Before.Identity.RecognisableName()
	err := g.mover.Undo(netns, netmove.Plan{back})
	switch {
	case err == nil:
		g.told.forget(device)
		g.misses.forget(device)
		g.home = append(g.home, a.Before.Name)
		return true
	case errors.Is(err, netmove.ErrLost) && g.misses.add(device) < missesOfALoss:
		g.away = true
		return false
	case errors.Is(err, netmove.ErrLost):
		g.told.forget(device)
		g.misses.forget(device)
		g.log.Error("device is lost", "device", a.Before.Name, "err", err)
		g.left.Lost = append(g.left.Lost, a)
		return true
	case !errors.Is(err, netmove.ErrDiffers):
		g.away = true
	}
	// The sweep tries again every second: what it meets is told when it is new.
	if g.told.anew(device, err.Error()) {
		g.log.Error("device cannot be returned yet", "device", a.Before.Name, "err", err)
	}
	return false
}

// finish writes what is left.
func (g *giving) finish() {
	switch {
	case len(g.left.Devices) > 0 || g.held:
		g.check("write the record", g.journal.Put(&g.left))
	case len(g.left.Lost) > 0:
		g.left.State, g.left.Ended = journal.Lost, time.Now()
		g.check("write the record", g.journal.Put(&g.left))
	default:
		g.check("remove the record", g.journal.Remove(g.left.Sandbox))
	}
}

func recordLog(log *slog.Logger, r *journal.Record) *slog.Logger {
	return log.With("pod", r.Pod.String(), "uid", r.Pod.UID, "sandbox", r.Sandbox)
}
