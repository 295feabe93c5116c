package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

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
	s := &selection{
		mover: m, journal: j, config: c, pod: pod,
		requests: slices.Clone(requests), devices: make([]netmove.Snapshot, len(requests)),
	}
	d := &Decision{Grants: make([]config.Grant, len(requests))}
	errs := make([]error, len(requests))
	for _, i := range bySpecificity(requests) {
		d.Grants[i], errs[i] = s.choose(i)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	d.Plan, err = netmove.NewPlan(s.requests, s.devices)
	return d, err
}

// bySpecificity orders requests by name before those by match, and these before those by
// pool, so that a pool does not give away what the pod asks for by name.
func bySpecificity(requests []netmove.Request) []int {
	order := make([]int, 0, len(requests))
	for _, kind := range []func(netmove.Request) bool{
		func(r netmove.Request) bool { return r.Pool == "" && r.Match.IsZero() },
		func(r netmove.Request) bool { return !r.Match.IsZero() },
		func(r netmove.Request) bool { return r.Pool != "" },
	} {
		for i, r := range requests {
			if kind(r) {
				order = append(order, i)
			}
		}
	}
	return order
}

// read reads the device of a request, with what only some requests need of it.
func (s *selection) read(r netmove.Request) (netmove.Snapshot, error) {
	dev, err := s.snapshot(r)
	if err == nil && len(r.Features) > 0 {
		dev.Features, err = s.mover.Host.Features(dev.Identity.Index)
	}
	return dev, err
}

// snapshot reads the device. One that is not there may be in a pod: whose, is
// told to those who might have it.
func (s *selection) snapshot(r netmove.Request) (netmove.Snapshot, error) {
	dev, err := s.mover.Host.Snapshot(r.Device)
	if !errors.Is(err, netmove.ErrNotFound) {
		return dev, err
	}
	if s.journal != nil {
		if held, holder, ok := s.journal.Find(r.Device); ok {
			return dev, s.inUse(r, held, holder)
		}
	}
	return dev, fmt.Errorf("device %q %w on this node", r.Device, netmove.ErrNotFound)
}

// inUse is the refusal of a device that somebody has, to a pod that may have it.
func (s *selection) inUse(r netmove.Request, held netmove.Snapshot, holder *journal.Record) error {
	r.Device = cmp.Or(r.Device, held.Name)
	if _, err := s.config.AllowDevice(s.pod, r, held); err != nil {
		return err
	}
	return holder.InUse(r.Device, held.Identity)
}
