package plugin

import (
	"errors"
	"log/slog"
	"maps"
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
	byHand     reason = "an operator wants it"
)

// giveBack brings home what a sandbox holds. It may be called in any order
// with anything else, any number of times. What cannot be brought home, or is
// home and not yet as it was, stays in the journal, for the sweep; the error,
// which has been logged, tells of it.
func (p *Plugin) giveBack(sandbox string, why reason) error {
	defer p.locks.lock(sandbox)()
	record, ok := p.journal.Get(sandbox)
	if !ok || record.State == journal.Lost || record.State == journal.Quarantined {
		return nil
	}
	if why == unfinished && record.State == journal.Attached {
		return nil // it was finished, and the sandbox has its devices again
	}
	g := p.giving(record, why)
	// The return does not depend on this being written: a full disk must not
	// keep a device in a dead pod.
	g.setState(journal.Returning)
	g.left.Devices = nil
	return g.run(record.Devices)
}

// giveBackSome brings home some devices of a sandbox that goes on having the
// others. Those that are lost, or in quarantine, get another try.
func (p *Plugin) giveBackSome(sandbox string, why reason, some func(netmove.Attachment) bool) error {
	defer p.locks.lock(sandbox)()
	record, ok := p.journal.Get(sandbox)
	if !ok || record.State == journal.Attaching {
		return nil
	}
	g := p.giving(record, why)
	if record.State != journal.Attached {
		g.left.State = journal.Returning
	}
	var devices [3][]netmove.Attachment
	for i, list := range []*[]netmove.Attachment{&g.left.Devices, &g.left.Quarantined, &g.left.Lost} {
		devices[i], *list = split(*list, some)
	}
	g.away = len(g.left.Devices) > 0
	return g.run(slices.Concat(devices[:]...))
}

// split tells the attachments that hold from the others.
func split(list []netmove.Attachment, holds func(netmove.Attachment) bool) (yes, no []netmove.Attachment) {
	for _, a := range list {
		if holds(a) {
			yes = append(yes, a)
		} else {
			no = append(no, a)
		}
	}
	return yes, no
}

// enoughTries is how often in a row a device is looked for in vain before it
// counts as lost, until when its namespace stays pinned; how often what a pod
// left on it is removed in vain before it is quarantined; and how often a setting
// is put back in vain before it is left as it is.
const enoughTries = 3

// giving is one return of devices of a sandbox.
type giving struct {
	*Plugin
	log    *slog.Logger
	why    reason
	left   journal.Record // with the devices that are not done with
	home   []string       // names of those that are home and as they were
	away   bool           // a device is, or may be, still in the pod
	held   bool           // its namespace could not be let go of
	failed []error        // what is not as it was
}

func (p *Plugin) giving(record *journal.Record, why reason) *giving {
	g := &giving{Plugin: p, log: recordLog(p.log, record), why: why, left: *record}
	g.left.Problems = map[string]journal.Problem{}
	maps.Copy(g.left.Problems, record.Problems)
	return g
}

// run returns the devices and writes what is left.
func (g *giving) run(devices []netmove.Attachment) error {
	began := time.Now()
	g.all(devices)
	observe(g.metrics.returnTook, began)
	if !g.away && len(g.left.Quarantined) == 0 {
		err := g.holds.release(g.left.Sandbox)
		g.check("let go of the pod's network namespace", err)
		g.held = err != nil
	}
	g.finish()
	if len(g.home) > 0 {
		g.log.Info("devices returned", "why", string(g.why), "devices", g.home, "took", time.Since(began))
	}
	return errors.Join(g.failed...)
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
		back.Before = a.Before.LeftDown()
	}
	device := a.Before.Identity.RecognisableName()
	delete(g.left.Problems, a.Before.Name)
	err := g.mover.Recover(netns, &back)
	if err == nil {
		g.done(device, returned)
		g.home = append(g.home, a.Before.Name)
		return true
	}
	g.failed = append(g.failed, err)
	var minor *netmove.MinorError
	if errors.As(err, &minor) && !back.Guard && (g.why == byHand || g.misses.add(device) >= enoughTries) {
		return g.settle(a, minor)
	}
	lost := errors.Is(err, netmove.ErrLost)
	tainted := errors.Is(err, netmove.ErrTainted) || errors.Is(err, netmove.ErrStacked)
	if lost || tainted {
		if g.why == byHand || g.misses.add(device) >= enoughTries {
			return g.giveUp(a, lost, err)
		}
	}
	g.away = g.away || !errors.Is(err, netmove.ErrDiffers)
	g.left.Problems[a.Before.Name] = journal.Problem{Misnamed: errors.Is(err, netmove.ErrMisnamed), Text: err.Error()}
	// The sweep tries again every second: what it meets is told when it is new.
	if !lost && g.told.anew(device, err.Error()) {
		g.log.Error("device cannot be returned yet", "device", a.Before.Name, "err", err)
	}
	return false
}

// giveUp ends the tries to return a device. One that is lost is kept on record
// until somebody has been told.
func (g *giving) giveUp(a netmove.Attachment, lost bool, err error) bool {
	device := a.Before.Identity.RecognisableName()
	g.left.Problems[a.Before.Name] = journal.Problem{Misnamed: errors.Is(err, netmove.ErrMisnamed), Text: err.Error()}
	switch {
	case !lost:
		g.done(device, quarantined)
		g.left.Quarantined = append(slices.Clone(g.left.Quarantined), a)
		g.log.Error("device is quarantined: it stays down, and nobody gets it, until it is returned by hand",
			"device", a.Before.Name, "err", err, "hint", "remove what is on it, then: nri-netdev return "+a.Before.Name)
	case g.why == byHand: // who is told need not be told again
		delete(g.left.Problems, a.Before.Name)
		g.done(device, lostForGood)
	default:
		g.done(device, lostForGood)
		g.left.Lost = append(slices.Clone(g.left.Lost), a)
		g.log.Error("device is lost", "device", a.Before.Name, "err", err)
	}
	return true
}

// done forgets what was counted and told of a device.
func (g *giving) done(device string, as result) {
	g.told.forget(device)
	g.misses.forget(device)
	g.metrics.returned(as)
}

// finish writes what is left.
func (g *giving) finish() {
	switch {
	case len(g.left.Devices) > 0 || g.held:
		g.check("write the record", g.journal.Put(&g.left))
	case len(g.left.Quarantined) > 0:
		g.end(journal.Quarantined)
	case len(g.left.Lost) > 0:
		g.end(journal.Lost)
	default:
		g.check("remove the record", g.journal.Remove(g.left.Sandbox))
	}
}

// end writes the record of devices that cannot be returned.
func (g *giving) end(as journal.State) {
	g.left.State = as
	if g.left.Ended.IsZero() {
		g.left.Ended = time.Now()
	}
	g.check("write the record", g.journal.Put(&g.left))
}

func recordLog(log *slog.Logger, r *journal.Record) *slog.Logger {
	return log.With("pod", r.Pod.String(), "uid", r.Pod.UID, "sandbox", r.Sandbox)
}
