package driver

import (
	"context"
	"slices"
	"time"

	"k8s.io/dynamic-resource-allocation/resourceslice"

	"github.com/nri-netdev/nri-netdev/dra/slice"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// askAgain is how long the driver waits before it asks a plugin again that does not answer.
// What has changed meanwhile is published within a second of its return.
const askAgain = 200 * time.Millisecond

// followInventory publishes the plugin's inventory, and every change of it. While the plugin is
// away, what it said last stays published: its devices have not gone.
func (d *Driver) followInventory(ctx context.Context) {
	var generation uint64
	last := ""
	for ctx.Err() == nil {
		inventory, err := d.askInventory(ctx, generation)
		if ctx.Err() != nil {
			return
		}
		d.answered.Store(err == nil)
		d.metrics.pluginUp(err == nil)
		if err != nil {
			if text := err.Error(); text != last {
				d.log.Error("no inventory, trying again", "err", err)
				last = text
			}
			generation = 0 // of the process that was
			pause(ctx, askAgain)
			continue
		}
		last = ""
		if inventory.Generation == generation {
			continue
		}
		generation = inventory.Generation
		d.publish(ctx, inventory.Devices)
	}
}

func (d *Driver) askInventory(ctx context.Context, after uint64) (claim.Inventory, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return d.plugin.Inventory(ctx, after)
}

// publish hands devices to the controller of the slices.
func (d *Driver) publish(ctx context.Context, devices []claim.Device) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inventory = devices
	d.metrics.setDevices(devices)
	d.publishLocked(ctx)
}

func (d *Driver) publishLocked(ctx context.Context) {
	pool, problems := slice.Pool(d.inventory, d.taints)
	d.logNew(problems)
	// The controller makes a copy, and tries until the API server has it.
	resources := resourceslice.DriverResources{Pools: map[string]resourceslice.Pool{d.opts.NodeName: pool}}
	if err := d.helper.Load().PublishResources(ctx, resources); err != nil {
		d.metrics.failures.Inc()
		d.log.Error("publish resource slices", "err", err)
	}
}

// logNew logs problems that were not there before.
func (d *Driver) logNew(problems []string) {
	before := d.problems
	d.problems = map[string]bool{}
	for _, p := range problems {
		d.problems[p] = true
		if !before[p] {
			d.log.Error(p)
		}
	}
}

// fieldsDropped leaves devices out of the slices instead of tainting them, where the API
// server knows no taints (Kubernetes before 1.36).
func (d *Driver) fieldsDropped(dropped *resourceslice.DroppedFieldsError) {
	features := dropped.DisabledFeatures()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(features, "DRADeviceTaints") {
		d.metrics.failures.Inc()
		d.log.Error("the API server has dropped fields of a resource slice", "features", features)
		return
	}
	if !d.taints {
		return
	}
	d.taints = false
	d.metrics.taints.Set(0)
	d.log.Warn("this Kubernetes knows no device taints: devices that no pod can have now are left out of the slices instead")
	d.publishLocked(context.Background())
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
