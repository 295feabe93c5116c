package plugin

import (
	"errors"
	"fmt"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Decision is what a pod may have: the plan of its devices, and the rule of
// the node config that allows each.
type Decision struct {
	Plan   netmove.Plan
	Grants []config.Grant
}

// Decide tells what would move for a pod that asks for these devices, or every
// reason against it. It reads the devices and changes nothing. j may be nil
// where nothing is known of other pods.
func Decide(m *netmove.Mover, j *journal.Journal, c *config.NodeConfig, pod config.Pod, requests []netmove.Request) (*Decision, error) {
	if err := c.AllowPod(pod, len(requests)); err != nil {
		return nil, err
	}
	d := &Decision{}
	var devices []netmove.Snapshot
	var errs []error
	for _, r := range requests {
		dev, err := snapshot(m, j, c, pod, r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		grant, err := c.AllowDevice(pod, r, dev)
		errs = append(errs, err)
		d.Grants = append(d.Grants, grant)
		devices = append(devices, dev)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	d.Plan, err = netmove.NewPlan(requests, devices)
	return d, err
}

// snapshot reads the device. One that is not there may be in a pod: whose, is
// told to those who might have it.
func snapshot(m *netmove.Mover, j *journal.Journal, c *config.NodeConfig, pod config.Pod, r netmove.Request) (netmove.Snapshot, error) {
	dev, err := m.Host.Snapshot(r.Device)
	if !errors.Is(err, netmove.ErrNotFound) {
		return dev, err
	}
	if j != nil {
		if held, holder, ok := j.Find(r.Device); ok {
			if _, err := c.AllowDevice(pod, r, held); err != nil {
				return dev, err
			}
			return dev, holder.InUse(r.Device, held.Identity)
		}
	}
	return dev, fmt.Errorf("device %q %w on this node", r.Device, netmove.ErrNotFound)
}
