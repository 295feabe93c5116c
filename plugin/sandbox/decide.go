package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Decision is what a pod may have: the plan of its devices, and the allow rule for each.
type Decision struct {
	Plan   netmove.Plan
	Grants []config.Grant
}

// Decide returns what would move into a pod that asks for these devices, or every reason
// why nothing would. It changes nothing. j may be nil if nothing is known of other pods.
// It leaves open whether devices of pools are for claims alone.
func Decide(m *netmove.Mover, j *journal.Journal, c *config.NodeConfig, pod config.Pod, requests []netmove.Request) (*Decision, error) {
	return decide(m, j, c, pod, selecting(requests), false)
}

// decide is Decide for wishes, some of which may be for devices that are promised to the
// pod. published says that the cluster's scheduler knows of the devices of pools.
func decide(m *netmove.Mover, j *journal.Journal, c *config.NodeConfig, pod config.Pod, wishes []wish, published bool) (*Decision, error) {
	if err := c.AllowPod(pod, len(wishes)); err != nil {
		return nil, err
	}
	s := &selection{
		mover: m, journal: j, config: c, pod: pod, published: published,
		requests: make([]netmove.Request, len(wishes)), reserved: make([]*journal.Reserved, len(wishes)),
		devices: make([]netmove.Device, len(wishes)),
	}
	for i, w := range wishes {
		s.requests[i], s.reserved[i] = w.Request, w.reserved
		if w.reserved != nil {
			s.requests[i].Device = s.nameNow(w.reserved)
		}
	}
	s.readNamed()
	d := &Decision{Grants: make([]config.Grant, len(wishes))}
	errs := make([]error, len(wishes))
	for _, i := range bySpecificity(s.requests) {
		d.Grants[i], errs[i] = s.choose(i)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	d.Plan, err = netmove.NewPlan(s.requests, s.devices)
	return d, err
}

// bySpecificity puts requests by name first, then by match, then by pool. So a pool does
// not give away a device that another request of the pod needs.
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

// selection finds the devices that the requests of one pod mean.
type selection struct {
	mover   *netmove.Mover
	journal *journal.Journal // nil if nothing is known of other pods
	config  *config.NodeConfig
	pod     config.Pod

	published bool // the cluster's scheduler knows of the devices of pools

	reserved []*journal.Reserved // devices that are promised to the pod; nil where the request selects one
	requests []netmove.Request   // with Device once a device was chosen
	devices  []netmove.Device    // of the requests; zero until a device was chosen

	named map[string]found // what the requests by name ask for
}

// found is a device of the host, or why it could not be read.
type found struct {
	device netmove.Device
	err    error
}

// readNamed reads all devices that the pod names, at once: much of it is one look for all.
func (s *selection) readNamed() {
	var names []string
	for _, r := range s.requests {
		if r.Pool == "" && r.Match.IsZero() && !slices.Contains(names, r.Device) {
			names = append(names, r.Device)
		}
	}
	s.named = map[string]found{}
	devices, errs := netmove.ReadEach(s.mover.Host, names...)
	for i, name := range names {
		s.named[name] = found{devices[i], errs[i]}
	}
}

// choose finds the device of a request, and the rule that allows it.
func (s *selection) choose(i int) (config.Grant, error) {
	switch r := s.requests[i]; {
	case s.reserved[i] != nil:
		return s.promised(i, r, s.reserved[i])
	case r.Pool != "":
		return s.fromPool(i, r)
	case !r.Match.IsZero():
		return s.matching(i, r)
	}
	return s.take(i, s.requests[i], func(netmove.Snapshot) bool { return true })
}

// take reads the device that the request names, and asks for permission. If meant is false
// for the device, the name has gone to another device since the choice.
func (s *selection) take(i int, r netmove.Request, meant func(netmove.Snapshot) bool) (config.Grant, error) {
	dev, err := s.read(r)
	if err == nil && !meant(dev.Snapshot) {
		err = fmt.Errorf("device %q was chosen for the pod, and then another device got its name: %w", r.Device, netmove.ErrNotFound)
	}
	if err != nil {
		return config.Grant{}, err
	}
	grant, err := s.config.AllowDevice(s.pod, r, dev)
	if err == nil && s.reserved[i] == nil {
		err = s.unclaimed(r, dev.Snapshot)
	}
	if err == nil {
		s.requests[i], s.devices[i] = r, dev
	}
	return grant, err
}

// unclaimed refuses a device that the pod may have, but not without a claim.
func (s *selection) unclaimed(r netmove.Request, dev netmove.Snapshot) error {
	if s.journal != nil {
		if other := s.journal.ReservedFor(dev.Identity); other != nil {
			return other.InUse(r.Device)
		}
	}
	if !s.published {
		return nil
	}
	return s.config.AllowUnclaimed(r, dev)
}

// nameNow returns the name of a device that is promised to the pod, which may have been
// renamed since.
func (s *selection) nameNow(d *journal.Reserved) string {
	dev, err := s.mover.Host.Find(d.Identity, d.Identity.Index)
	if err != nil {
		return d.HostName
	}
	return dev.Name
}

// promised takes the device that is promised to the pod.
func (s *selection) promised(i int, r netmove.Request, d *journal.Reserved) (config.Grant, error) {
	isIt := func(dev netmove.Snapshot) bool { return dev.Identity.Same(d.Identity) }
	dev, err := s.fromHost(r.Device)
	if err == nil && !isIt(dev.Snapshot) || errors.Is(err, netmove.ErrNotFound) {
		if held, holder, ok := s.held(isIt); ok {
			return config.Grant{}, s.inUse(r, held, holder)
		}
		return config.Grant{}, fmt.Errorf("device %q, which is reserved for the pod, %w on this node: delete the pod, so that it starts anew", d.HostName, netmove.ErrNotFound)
	}
	return s.take(i, r, isIt)
}

// matching finds the one device that the facts of the request are true of.
func (s *selection) matching(i int, r netmove.Request) (config.Grant, error) {
	free, err := s.free(r.Match.Holds)
	if err != nil {
		return config.Grant{}, err
	}
	switch len(free) {
	case 1:
		r.Device = free[0].Name
		return s.take(i, r, r.Match.Holds)
	case 0:
		if held, holder, ok := s.held(r.Match.Holds); ok {
			return config.Grant{}, s.inUse(r, held, holder)
		}
		return config.Grant{}, fmt.Errorf("%s: device %w on this node", r, netmove.ErrNotFound)
	}
	return config.Grant{}, fmt.Errorf("%s: %d devices of this node are meant, %s: give more facts, or a name", r, len(free), nameList(free))
}

// fromPool finds the first free device of the pool that the pod may have.
func (s *selection) fromPool(i int, r netmove.Request) (config.Grant, error) {
	pool, ok := s.config.Pool(r.Pool)
	if !ok {
		return config.Grant{}, fmt.Errorf("%s %w in this node's config", r, netmove.ErrNotFound)
	}
	free, err := s.free(pool.Has)
	if err != nil {
		return config.Grant{}, err
	}
	slices.SortFunc(free, func(a, b netmove.Snapshot) int {
		// eth2 is before eth10.
		return cmp.Or(pool.Rank(a)-pool.Rank(b), len(a.Name)-len(b.Name), strings.Compare(a.Name, b.Name))
	})
	var refusal error
	for _, dev := range free {
		one := r
		one.Device = dev.Name
		if refusal != nil && (s.mayHave(one, dev) != nil || s.unclaimed(one, dev) != nil) {
			continue // the first refusal is what the pod is told
		}
		grant, err := s.take(i, one, pool.Has)
		if err == nil {
			return grant, nil
		}
		if refusal == nil && !errors.Is(err, netmove.ErrNotFound) { // it has gone meanwhile
			refusal = err
		}
	}
	if held, holder, ok := s.held(pool.Has); ok {
		if s.mayHave(r, held) == nil || refusal == nil {
			return config.Grant{}, &poolInUseError{r.Pool, s.inUse(r, held, holder)}
		}
	}
	if refusal != nil {
		return config.Grant{}, fmt.Errorf("pool %q has no device for the pod: %w", r.Pool, refusal)
	}
	return config.Grant{}, fmt.Errorf("pool %q has no free device on this node: %w", r.Pool, netmove.ErrNotFound)
}

// poolInUseError refuses a pod because no device of its pool is free.
type poolInUseError struct {
	pool string
	err  error // about one of its devices
}

func (e *poolInUseError) Error() string {
	return fmt.Sprintf("pool %q has no free device: %v", e.pool, e.err)
}

func (e *poolInUseError) Unwrap() error { return e.err }

// free returns the host's devices that are meant and free: neither another pod has them,
// nor another request of this pod.
func (s *selection) free(meant func(netmove.Snapshot) bool) ([]netmove.Snapshot, error) {
	links, err := s.mover.Host.List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(links, func(dev netmove.Snapshot) bool {
		same := func(chosen netmove.Device) bool { return chosen.Identity.Same(dev.Identity) }
		return !meant(dev) || slices.ContainsFunc(s.devices, same) || s.journal != nil && s.journal.Holds(dev.Identity)
	}), nil
}

// held finds a device that is meant among those that pods have.
func (s *selection) held(meant func(netmove.Snapshot) bool) (netmove.Snapshot, *journal.Record, bool) {
	if s.journal == nil {
		return netmove.Snapshot{}, nil, false
	}
	return s.journal.FindFunc(meant)
}

func nameList(devices []netmove.Snapshot) string {
	const most = 16
	var names []string
	for i, dev := range devices {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(devices)-i))
			break
		}
		names = append(names, strconv.Quote(dev.Name))
	}
	return strings.Join(names, ", ")
}

// read reads the device of a request, and its features if the request sets any.
func (s *selection) read(r netmove.Request) (netmove.Device, error) {
	dev, err := s.device(r)
	if err == nil && len(r.Features) > 0 {
		dev.Features, err = s.mover.Host.Features(dev.Identity.Index)
	}
	return dev, err
}

// device reads the device. If another pod has it, the error is inUse's.
func (s *selection) device(r netmove.Request) (netmove.Device, error) {
	dev, err := s.fromHost(r.Device)
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

func (s *selection) fromHost(name string) (netmove.Device, error) {
	if f, ok := s.named[name]; ok {
		return f.device, f.err
	}
	return netmove.Read(s.mover.Host, name)
}

// inUse refuses a device that another pod has. It names that pod only if the asking pod
// may have the device, too.
func (s *selection) inUse(r netmove.Request, held netmove.Snapshot, holder *journal.Record) error {
	r.Device = cmp.Or(r.Device, held.Name)
	if err := s.mayHave(r, held); err != nil {
		return err
	}
	return holder.InUse(r.Device, held.Identity)
}

// mayHave refuses what the pod may not have, whatever the device's facts are: these are
// reasons against a move, and none for it.
func (s *selection) mayHave(r netmove.Request, dev netmove.Snapshot) error {
	_, err := s.config.AllowDevice(s.pod, r, netmove.Device{Snapshot: dev})
	return err
}
