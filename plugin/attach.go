package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// attach gives a pod that is about to start the devices it asks for, all or
// none of them.
//
//	annotation -> requests -> snapshots -> policy -> plan
//	-> journal begins -> devices move -> journal commits
func (p *Plugin) attach(ctx context.Context, pod *api.PodSandbox, c *claim) error {
	requests, err := config.ParseAnnotations(pod.GetAnnotations())
	if err != nil || len(requests) == 0 {
		return err
	}
	p.endEarlier(pod)
	defer p.locks.lock(pod.GetId())()
	if p.hasDevices(pod) {
		return nil // told twice
	}
	netns, err := p.openPod(pod)
	if err != nil {
		return err
	}
	begin := func() (*journal.Record, error) { return p.begin(ctx, pod, netns, requests) }
	return p.transact(ctx, netns, begin, c)
}

// transact writes the record of an attach, pins the namespace, which it closes in
// the end, and moves the devices.
func (p *Plugin) transact(ctx context.Context, netns netmove.Namespace, begin func() (*journal.Record, error), c *claim) error {
	record, err := begin()
	for tries := 1; errors.Is(err, journal.ErrStale) && tries < beginTries; tries++ {
		record, err = begin()
	}
	if err != nil {
		return errors.Join(err, netns.Close())
	}
	kept, err := p.holds.hold(record.Sandbox, netns)
	if err == nil {
		err = p.holds.holdPrograms(record)
	}
	if err != nil {
		err = errors.Join(err, p.abandon(record, false))
	} else {
		err = p.move(ctx, netns, record, c)
	}
	if kept {
		return err
	}
	return errors.Join(err, netns.Close())
}

// endEarlier gives back what earlier sandboxes of the same pod hold, if they
// are at their end and the runtime has not told so yet: the pod needs it now. A
// return that is under way is waited for. No other sandbox's lock is held
// meanwhile, so two that wait for each other are not possible.
func (p *Plugin) endEarlier(pod *api.PodSandbox) {
	for _, r := range p.journal.All() {
		if r.Pod.UID != pod.GetUid() || r.Pod.UID == "" || r.Sandbox == pod.GetId() {
			continue
		}
		// What fails is logged, and the new sandbox is refused then.
		switch {
		case r.State == journal.Returning:
			_ = p.giveBack(r.Sandbox, unfinished)
		case r.State == journal.Attached && p.ends.empty(r):
			_ = p.giveBack(r.Sandbox, podAgain)
		}
	}
}

// beginTries bounds how often a decision is made again because a device has come
// home meanwhile, which may have been seen half restored.
const beginTries = 20

// openPod opens the pod's network namespace, which must not be the host's.
func (p *Plugin) openPod(pod *api.PodSandbox) (netmove.Namespace, error) {
	path := netnsPath(pod)
	if path == "" { // containerd names none for a pod of the host's
		return nil, ErrHostNetwork
	}
	netns, err := p.mover.Kernel.OpenNamespace(path)
	if err != nil {
		return nil, err
	}
	if netns.Cookie() == p.mover.Host.Cookie() { // CRI-O names the host's own
		return nil, errors.Join(ErrHostNetwork, netns.Close())
	}
	return netns, nil
}

// ErrHostNetwork refuses a pod that has no network namespace of its own.
var ErrHostNetwork = errors.New("pod uses the host network, where it has the node's devices already: remove the annotation or hostNetwork")

func netnsPath(pod *api.PodSandbox) string {
	for _, ns := range pod.GetLinux().GetNamespaces() {
		if ns.GetType() == "network" {
			return ns.GetPath()
		}
	}
	return ""
}

// begin decides, and writes the journal's record. After it the devices are
// the sandbox's; nothing has been touched yet.
func (p *Plugin) begin(ctx context.Context, pod *api.PodSandbox, netns netmove.Namespace, requests []netmove.Request) (*journal.Record, error) {
	who := config.Pod{Namespace: pod.GetNamespace(), Name: pod.GetName(), RuntimeHandler: pod.GetRuntimeHandler()}
	since := p.journal.Homecomings()
	d, err := Decide(p.mover, p.journal, p.config.Load(), who, requests)
	if err != nil {
		return nil, err
	}
	if err := p.mover.Prepare(netns, d.Plan); err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := p.pace.fits(len(d.Plan), time.Until(deadline)); err != nil {
			return nil, err
		}
	}
	record := &journal.Record{
		Sandbox: pod.GetId(),
		Pod:     journal.Pod{Namespace: pod.GetNamespace(), Name: pod.GetName(), UID: pod.GetUid()},
		Netns: journal.Netns{
			Path: netnsPath(pod), Cookie: netns.Cookie(), Inode: netns.Inode(), Pause: int(pod.GetPid()),
		},
		State:   journal.Attaching,
		Since:   time.Now(),
		Devices: d.Plan,
	}
	err = p.journal.Begin(record, since)
	if _, ok := errors.AsType[*journal.InUseError](err); ok && slices.ContainsFunc(d.Plan, fromPool) {
		return nil, fmt.Errorf("%w: %w", journal.ErrStale, err) // the pool may have another one
	}
	return record, err
}

func fromPool(a netmove.Attachment) bool { return a.Request.Pool != "" }

// move moves the devices of a record and commits it. Whatever fails, up to the
// claim that the runtime is told of success, brings all of them back. So does the
// loss of the runtime: the pod may have containers by now, which would not expect
// the devices. If it has none, it gets them before the first.
func (p *Plugin) move(ctx context.Context, netns netmove.Namespace, record *journal.Record, c *claim) error {
	log := recordLog(p.log, record)
	began := time.Now()
	plan := netmove.Plan(record.Devices)
	if err := p.mover.Attach(ctx, netns, plan); err != nil {
		return errors.Join(err, p.abandon(record, errors.Is(err, netmove.ErrUndo)))
	}
	took := time.Since(began)
	p.pace.measured(len(plan), took)
	err := p.commit(record, c)
	if err == nil {
		p.metrics.attached(attached)
		p.metrics.attachTook.Observe(took.Seconds())
		p.compared(log, plan)
		log.Info("devices attached", "devices", summary(plan), "took", took)
		return nil
	}
	undo := p.mover.Undo(netns, plan)
	return errors.Join(err, undo, p.abandon(record, undo != nil))
}

// commit writes that the sandbox has its devices, and has the runtime told. For a
// late request that is never written: a pod with containers would not be found
// missed.
func (p *Plugin) commit(record *journal.Record, c *claim) error {
	if c.late() {
		return errLate
	}
	committed := *record
	committed.State, committed.Committed = journal.Attached, true
	if err := p.journal.Put(&committed); err != nil {
		return err
	}
	return c.succeed()
}

// abandon ends the record of an attach that failed. What could not be undone
// is left to the sweep.
func (p *Plugin) abandon(record *journal.Record, undoFailed bool) error {
	var err error
	if !undoFailed {
		if err = p.forget(record.Sandbox); err == nil {
			return nil
		}
	}
	r := *record
	r.State = journal.Returning
	return errors.Join(err, p.journal.Put(&r))
}

// forget ends what is kept of a sandbox whose devices are all home. The pin
// goes first: there is no pin without a record.
func (p *Plugin) forget(sandbox string) error {
	if err := p.holds.release(sandbox); err != nil {
		return err
	}
	return p.journal.Remove(sandbox)
}

func summary(plan netmove.Plan) string {
	return strings.ReplaceAll(strings.TrimSpace(plan.String()), "\n", "; ")
}
