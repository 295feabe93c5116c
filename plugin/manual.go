package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Move is a device that an operator wants in a network namespace.
type Move struct {
	Device string `json:"device"`         // host name, or one of the altnames
	Netns  string `json:"netns"`          // path, as the operator calls it
	Name   string `json:"name,omitempty"` // in the namespace; "" keeps the host name

	// Force moves also a device that never moves for a pod, or that has state
	// that is lost.
	Force bool `json:"force,omitempty"`
}

// Move moves a device by hand into the namespace that is at path from here. The
// allow rules do not apply: an operator is root. The device is recorded like
// one of a pod's, and stays until it is returned by hand.
func (p *Plugin) Move(ctx context.Context, m Move, path string) (moved string, err error) {
	if m.Name != "" {
		if err := config.CheckPodName(m.Name); err != nil {
			return "", fmt.Errorf("--name: %w", err)
		}
	}
	netns, err := p.openTarget(path)
	if err != nil {
		return "", err
	}
	dev, err := p.mover.Host.Snapshot(m.Device)
	if err != nil {
		return "", errors.Join(p.notOnHost(m.Device, err), netns.Close())
	}
	defer p.locks.lock(journal.ManualID(dev.Identity))()
	begin := func() (*journal.Record, error) { return p.beginMove(m, netns) }
	if err := p.transact(ctx, netns, begin, &claim{request: ctx}); err != nil {
		return "", err
	}
	record, ok := p.journal.Get(journal.ManualID(dev.Identity))
	if !ok {
		return "", fmt.Errorf("device %q was returned at once", m.Device)
	}
	return summary(record.Devices), nil
}

// openTarget opens a namespace for a move by hand.
func (p *Plugin) openTarget(path string) (netmove.Namespace, error) {
	netns, err := p.mover.Kernel.OpenNamespace(path)
	if err != nil {
		return nil, err
	}
	if netns.Cookie() == p.mover.Host.Cookie() {
		return nil, errors.Join(errors.New("--netns: that is the network namespace that the devices are in"), netns.Close())
	}
	return netns, nil
}

// notOnHost says where a device is that is not on the host.
func (p *Plugin) notOnHost(device string, err error) error {
	if !errors.Is(err, netmove.ErrNotFound) {
		return err
	}
	if held, holder, ok := p.journal.Find(device); ok {
		return holder.InUse(device, held.Identity)
	}
	return fmt.Errorf("device %q %w on this node", device, netmove.ErrNotFound)
}

// beginMove is begin for a move by hand.
func (p *Plugin) beginMove(m Move, netns netmove.Namespace) (*journal.Record, error) {
	since := p.journal.Homecomings()
	dev, err := p.mover.Host.Snapshot(m.Device)
	if err != nil {
		return nil, p.notOnHost(m.Device, err)
	}
	if !m.Force {
		if err := p.allowMove(dev); err != nil {
			return nil, err
		}
	}
	plan, err := netmove.NewPlan([]netmove.Request{{Device: m.Device, PodName: m.Name}}, []netmove.Snapshot{dev})
	if err != nil {
		return nil, err
	}
	if err := p.mover.Prepare(netns, plan); err != nil {
		return nil, err
	}
	record := &journal.Record{
		Sandbox: journal.ManualID(dev.Identity),
		Netns:   journal.Netns{Path: m.Netns, Cookie: netns.Cookie(), Inode: netns.Inode()},
		State:   journal.Attaching, Since: time.Now(), Devices: plan,
	}
	return record, p.journal.Begin(record, since)
}

// allowMove is what the operator has to force.
func (p *Plugin) allowMove(dev netmove.Snapshot) error {
	err := p.config.Load().AllowMove(dev)
	if err == nil && len(dev.Loss) > 0 {
		err = fmt.Errorf("device %q has what would be lost, %s", dev.Name, netmove.Losses(dev.Loss))
	}
	if err != nil {
		return fmt.Errorf("%w (unless it is forced: --force)", err)
	}
	return nil
}

// Selection is what an operator wants returned: one sandbox's devices, some
// devices by their host names, or all.
type Selection struct {
	Sandbox string   `json:"sandbox,omitempty"`
	Devices []string `json:"devices,omitempty"`
	All     bool     `json:"all,omitempty"`
}

// Returned is what a return by hand has done.
type Returned struct {
	Devices  []string `json:"devices"`            // that are home and as they were
	Problems []string `json:"problems,omitempty"` // each is about one that is not
}

// Return returns devices by hand, also from pods that run. Those that are
// quarantined or lost get another try; a device that is still lost then is
// forgotten.
func (p *Plugin) Return(s Selection) (Returned, error) {
	chosen, err := p.choose(s)
	if err != nil {
		return Returned{}, err
	}
	result := Returned{Devices: []string{}}
	for _, a := range chosen {
		switch err := p.giveBackSome(a.sandbox, byHand, among([]netmove.Identity{a.Before.Identity})); {
		case err != nil:
			result.Problems = append(result.Problems, strings.ReplaceAll(err.Error(), "\n", "; "))
		case p.journal.Holds(a.Before.Identity):
			result.Problems = append(result.Problems, fmt.Sprintf("device %q is being moved right now: try again", a.Before.Name))
		default:
			result.Devices = append(result.Devices, a.Before.Name)
		}
	}
	return result, nil
}

// held is a device and the sandbox that has it.
type held struct {
	sandbox string
	netmove.Attachment
}

// choose finds the devices that are meant, each of which has to be there.
func (p *Plugin) choose(s Selection) ([]held, error) {
	var chosen []held
	missing := slices.Clone(s.Devices)
	for _, r := range p.journal.All() {
		for _, a := range r.All() {
			named := func(name string) bool {
				return name == a.Before.Name || name == a.Before.Identity.RecognisableName() || slices.Contains(a.Before.Altnames, name)
			}
			if s.All || s.Sandbox == r.Sandbox || slices.ContainsFunc(s.Devices, named) {
				chosen = append(chosen, held{r.Sandbox, a})
				missing = slices.DeleteFunc(missing, named)
			}
		}
	}
	switch {
	case len(missing) > 0:
		return nil, fmt.Errorf("no pod has device %s, and it was not moved by hand", quoted(missing))
	case s.Sandbox != "" && len(chosen) == 0:
		return nil, fmt.Errorf("sandbox %q has no devices", s.Sandbox)
	}
	return chosen, nil
}

func quoted(names []string) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(list, ", ")
}
