package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"

	"github.com/nri-netdev/nri-netdev/dra/slice"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/control"
)

// PrepareResourceClaims has the plugin reserve the devices of claims. The kubelet shows an
// error in the pod's events, and tries again.
func (d *Driver) PrepareResourceClaims(ctx context.Context, claims []*resourceapi.ResourceClaim) (map[types.UID]kubeletplugin.PrepareResult, error) {
	results := map[types.UID]kubeletplugin.PrepareResult{}
	for _, c := range claims {
		began := time.Now()
		devices, err := d.prepare(ctx, c)
		d.metrics.prepared(time.Since(began), err)
		if err != nil {
			d.log.Warn("claim is not prepared", "claim", c.Namespace+"/"+c.Name, "uid", c.UID, "err", err)
		}
		results[c.UID] = kubeletplugin.PrepareResult{Devices: devices, Err: err}
	}
	return results, nil
}

func (d *Driver) prepare(ctx context.Context, c *resourceapi.ResourceClaim) ([]kubeletplugin.Device, error) {
	question, err := claimOf(c)
	if err != nil {
		return nil, fmt.Errorf("claim %q: %w", c.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	prepared, err := d.plugin.Prepare(ctx, question)
	if err != nil {
		return nil, fmt.Errorf("claim %q: %w", c.Name, inWords(err))
	}
	devices := make([]kubeletplugin.Device, len(prepared.Devices))
	for i, p := range prepared.Devices {
		devices[i] = kubeletplugin.Device{
			Requests: []string{p.Request}, PoolName: p.Pool, DeviceName: p.Device, CDIDeviceIDs: []string{p.CDIDevice},
		}
	}
	return devices, nil
}

// UnprepareResourceClaims has the plugin end reservations. As long as a device is not home that
// is an error: the kubelet tries again, and the scheduler does not get the device.
func (d *Driver) UnprepareResourceClaims(ctx context.Context, claims []kubeletplugin.NamespacedObject) (map[types.UID]error, error) {
	results := map[types.UID]error{}
	for _, c := range claims {
		began := time.Now()
		err := d.unprepare(ctx, c)
		d.metrics.unprepared(time.Since(began), err)
		if err != nil {
			d.log.Warn("claim is not unprepared", "claim", c.Namespace+"/"+c.Name, "uid", c.UID, "err", err)
		}
		results[c.UID] = err
	}
	return results, nil
}

func (d *Driver) unprepare(ctx context.Context, c kubeletplugin.NamespacedObject) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := d.plugin.Unprepare(ctx, string(c.UID)); err != nil {
		return fmt.Errorf("claim %q: %w", c.Name, inWords(err))
	}
	return nil
}

// inWords says of a plugin that does not run what a pod's author can do about it.
func inWords(err error) error {
	if control.NotRunning(err) {
		return fmt.Errorf("the plugin nri-netdev of this node does not run, it is asked again: %w", err)
	}
	return err
}

// claimOf says to the plugin what the scheduler has allocated of ours.
func claimOf(c *resourceapi.ResourceClaim) (claim.Claim, error) {
	if c.Status.Allocation == nil {
		return claim.Claim{}, errors.New("it is not allocated")
	}
	pod, err := podOf(c)
	if err != nil {
		return claim.Claim{}, err
	}
	question := claim.Claim{UID: string(c.UID), Namespace: c.Namespace, Name: c.Name, Pod: pod}
	for _, r := range c.Status.Allocation.Devices.Results {
		if r.Driver != slice.Driver {
			continue
		}
		if r.AdminAccess != nil && *r.AdminAccess {
			return claim.Claim{}, fmt.Errorf("request %q has adminAccess: a network device is in one place only, remove it", r.Request)
		}
		question.Requests = append(question.Requests, requestOf(r, c.Status.Allocation.Devices.Config))
	}
	if len(question.Requests) == 0 {
		return claim.Claim{}, fmt.Errorf("it has no device of driver %q", slice.Driver)
	}
	return question, nil
}

// podOf returns the one pod that a claim is reserved for.
func podOf(c *resourceapi.ResourceClaim) (claim.Pod, error) {
	if n := len(c.Status.ReservedFor); n != 1 {
		return claim.Pod{}, fmt.Errorf("it is reserved for %d pods: a network device is in one pod only, use a ResourceClaimTemplate", n)
	}
	by := c.Status.ReservedFor[0]
	if by.APIGroup != "" || by.Resource != "pods" {
		return claim.Pod{}, fmt.Errorf("it is reserved for %s %q: network devices go to pods only", by.Resource, by.Name)
	}
	return claim.Pod{UID: string(by.UID), Namespace: c.Namespace, Name: by.Name}, nil
}

func requestOf(r resourceapi.DeviceRequestAllocationResult, config []resourceapi.DeviceAllocationConfiguration) claim.Request {
	return claim.Request{
		Name: r.Request, Pool: r.Pool, Device: r.Device,
		Parameters: slices.Concat(
			parameters(r.Request, resourceapi.AllocationConfigSourceClass, config),
			parameters(r.Request, resourceapi.AllocationConfigSourceClaim, config)),
	}
}

// parameters are those of a source for our driver that are for a request, as they were written.
func parameters(request string, source resourceapi.AllocationConfigSource, config []resourceapi.DeviceAllocationConfiguration) (all []json.RawMessage) {
	for _, c := range config {
		if c.Source == source && c.Opaque != nil && c.Opaque.Driver == slice.Driver && isFor(request, c.Requests) {
			all = append(all, json.RawMessage(c.Opaque.Parameters.Raw))
		}
	}
	return all
}

// isFor reports whether a list of requests has one: by its name, by that of the request it is
// an alternative of ("nic" has "nic/fast"), or as every request, which is the empty list.
func isFor(request string, list []string) bool {
	main, _, _ := strings.Cut(request, "/")
	return len(list) == 0 || slices.Contains(list, request) || slices.Contains(list, main)
}
