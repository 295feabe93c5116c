package sandbox

import (
	"context"
	"errors"
	"fmt"
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

	// Force moves even a device that never moves for a pod, or that would lose state.
	Force bool `json:"force,omitempty"`
}

// Move moves a device by hand into the namespace at path, as this process sees it. The
// allow rules do not apply: an operator is root. The device is recorded as for a pod, and
// stays until it is returned by hand.
func (t *Table) Move(ctx context.Context, m Move, path string) (moved string, err error) {
	if m.Name != "" {
		if err := config.CheckPodName(m.Name); err != nil {
			return "", fmt.Errorf("--name: %w", err)
		}
	}
	netns, err := t.openTarget(path)
	if err != nil {
		return "", err
	}
	dev, err := t.mover.Host.ByName(m.Device)
	if err != nil {
		return "", errors.Join(t.notOnHost(m.Device, err), netns.Close())
	}
	defer t.locks.lock(journal.ManualID(dev.Identity))()
	var record *journal.Record
	begin := func() (_ *journal.Record, err error) {
		record, err = t.beginMove(m, netns)
		return record, err
	}
	if err := t.transact(ctx, netns, begin, untilDone{ctx}); err != nil {
		return "", err
	}
	return summary(record.Devices), nil
}

// openTarget opens a namespace for a move by hand.
func (t *Table) openTarget(path string) (netmove.Namespace, error) {
	netns, err := t.kernel.OpenNamespace(path)
	if err != nil {
		return nil, err
	}
	if netns.Cookie() == t.mover.Host.Cookie() {
		return nil, errors.Join(errors.New("--netns: the devices are in this network namespace already"), netns.Close())
	}
	return netns, nil
}

// notOnHost says which pod has a device that is not on the host.
func (t *Table) notOnHost(device string, err error) error {
	if !errors.Is(err, netmove.ErrNotFound) {
		return err
	}
	if held, holder, ok := t.journal.Find(device); ok {
		return holder.InUse(device, held.Identity)
	}
	return fmt.Errorf("device %q %w on this node", device, netmove.ErrNotFound)
}

// beginMove is begin for a move by hand.
func (t *Table) beginMove(m Move, netns netmove.Namespace) (*journal.Record, error) {
	since := t.journal.Homecomings()
	dev, err := netmove.Read(t.mover.Host, m.Device)
	if err != nil {
		return nil, t.notOnHost(m.Device, err)
	}
	if !m.Force {
		if err := t.allowMove(dev); err != nil {
			return nil, err
		}
	}
	plan, err := netmove.NewPlan([]netmove.Request{{Device: m.Device, PodName: m.Name}}, []netmove.Device{dev})
	if err != nil {
		return nil, err
	}
	if err := t.mover.Prepare(netns, plan); err != nil {
		return nil, err
	}
	record := &journal.Record{
		Sandbox: journal.ManualID(dev.Identity),
		Netns:   journal.Netns{Path: m.Netns, Cookie: netns.Cookie(), Inode: netns.Inode()},
		State:   journal.Attaching, Since: time.Now(), Devices: plan,
	}
	return record, t.journal.Begin(record, since)
}

// allowMove refuses a move that the operator must force.
func (t *Table) allowMove(dev netmove.Device) error {
	err := t.config.Load().AllowMove(dev)
	if err == nil && len(dev.Loss) > 0 {
		err = fmt.Errorf("device %q would lose %s", dev.Name, netmove.Losses(dev.Loss))
	}
	if err != nil {
		return fmt.Errorf("%w (unless it is forced: --force)", err)
	}
	return nil
}
