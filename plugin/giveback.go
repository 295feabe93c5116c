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
	r := &giving{Plugin: p, log: recordLog(p.log, record), left: *record}
	began := time.Now()
	// The return does not depend on this being written: a full disk must not
	// keep a device in a dead pod.
	r.setState(journal.Returning)
	r.all()
	if !r.away {
		err := p.holds.release(sandbox)
		r.check("let go of the pod's network namespace", err)
		r.held = err != nil
	}
	if r.finish() {
		r.log.Info("devices returned", "why", string(why), "devices", names(record.Devices), "took", time.Since(began))
	}
}

// giving is one return of a sandbox's devices.
type giving struct {
	*Plugin
	log  *slog.Logger
	left journal.Record // what is not done with
	away bool           // a device may still be in the pod
	held bool           // its namespace could not be let go of
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

// all returns the devices, last one first, and keeps in left what is not done.
func (g *giving) all() {
	netns, done := g.holds.namespace(&g.left)
	if netns == nil {
		g.log.Warn("the pod's network namespace is gone", "netns", g.left.Netns.Path)
	}
	var left []netmove.Attachment
	for _, a := range slices.Backward(g.left.Devices) {
		if !g.one(netns, a) {
			left = append(left, a)
		}
	}
	slices.Reverse(left)
	g.left.Devices = left
	g.check("close the pod's network namespace", done())
}

// one returns one device and reports whether that is done with.
func (g *giving) one(netns netmove.Namespace, a netmove.Attachment) bool {
	back := a
	if g.config.Load().OnReturn == config.Down {
		back.Before.Flags.Up, back.Before.Addresses = false, nil
	}
	inode := a.Before.Identity.Inode
	err := g.mover.Undo(netns, netmove.Plan{back})
	switch {
	case err == nil:
		g.told.forget(inode)
		return true
	case errors.Is(err, netmove.ErrLost):
		g.told.forget(inode)
		g.log.Error("device is lost", "device", a.Before.Name, "err", err)
		g.left.Lost = append(g.left.Lost, a)
		return true
	case !errors.Is(err, netmove.ErrDiffers):
		g.away = true
	}
	// The sweep tries again every second: what it meets is told when it is new.
	if g.told.anew(inode, err.Error()) {
		g.log.Error("device cannot be returned yet", "device", a.Before.Name, "err", err)
	}
	return false
}

// finish writes what is left, and reports whether nothing is.
func (g *giving) finish() bool {
	switch {
	case len(g.left.Devices) > 0 || g.held:
		g.check("write the record", g.journal.Put(&g.left))
		return false
	case len(g.left.Lost) > 0:
		g.left.State, g.left.Ended = journal.Lost, time.Now()
		g.check("write the record", g.journal.Put(&g.left))
	default:
		g.check("remove the record", g.journal.Remove(g.left.Sandbox))
	}
	return true
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
