package driver

import (
	"context"
	"slices"
	"time"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	resourceapply "k8s.io/client-go/applyconfigurations/resource/v1"

	"github.com/nri-netdev/nri-netdev/dra/slice"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

const (
	fieldManager = "nri-netdev-dra"

	firstWriteRetry = 250 * time.Millisecond
	lastWriteRetry  = 10 * time.Second

	// What the API server takes.
	mostIPs  = 16
	mostText = 32768
)

// followClaims writes into claims what has become of their devices. What the API server does not
// take now is written when it does, as it is then.
func (d *Driver) followClaims(ctx context.Context) {
	news := make(chan []claim.Status, 1)
	go d.writeStatuses(ctx, news)
	var generation uint64
	for ctx.Err() == nil {
		status, err := d.askClaims(ctx, generation)
		if err != nil {
			generation = 0
			pause(ctx, askAgain) // followInventory says why
			continue
		}
		if status.Generation == generation {
			continue
		}
		generation = status.Generation
		select {
		case <-news: // older ones, which nobody has taken
		default:
		}
		news <- status.Claims
	}
}

func (d *Driver) askClaims(ctx context.Context, after uint64) (claim.Statuses, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return d.plugin.Claims(ctx, after)
}

// writeStatuses writes the newest statuses until ctx ends, and those that fail again.
func (d *Driver) writeStatuses(ctx context.Context, news <-chan []claim.Status) {
	var claims []claim.Status
	written := map[string]claim.Status{} // by UID
	retry := firstWriteRetry
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case claims = <-news:
			retry = firstWriteRetry
		case <-again:
		}
		again = nil
		if failed := d.writeChanged(ctx, claims, written); failed > 0 {
			again = time.After(retry)
			retry = min(2*retry, lastWriteRetry)
		}
	}
}

// writeChanged writes the statuses that are not as written, and returns how many could not be.
func (d *Driver) writeChanged(ctx context.Context, claims []claim.Status, written map[string]claim.Status) (failed int) {
	for uid := range written {
		if !slices.ContainsFunc(claims, func(c claim.Status) bool { return c.UID == uid }) {
			delete(written, uid)
		}
	}
	for _, c := range claims {
		if was, ok := written[c.UID]; ok && equality.Semantic.DeepEqual(was, c) {
			continue
		}
		err := d.writeStatus(ctx, c)
		d.metrics.statusWritten(err)
		if err != nil {
			failed++
			d.log.Warn("status of the claim is not written, trying again", "claim", c.Namespace+"/"+c.Name, "err", err)
			continue
		}
		written[c.UID] = c
	}
	return failed
}

// writeStatus writes the status of one claim, unless it says the same. A claim that is gone, or
// that is not for these devices any more, needs none.
func (d *Driver) writeStatus(ctx context.Context, c claim.Status) error {
	api := d.kube.ResourceV1().ResourceClaims(c.Namespace)
	now, err := api.Get(ctx, c.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && string(now.UID) != c.UID {
		return nil
	}
	if err != nil {
		return err
	}
	status := resourceapply.ResourceClaimStatus()
	same := true
	for _, device := range c.Devices {
		if !allocated(now, device) {
			continue
		}
		was := deviceStatus(now, device)
		is := newDeviceStatus(was, device)
		same = same && was != nil && equality.Semantic.DeepEqual(*was, is)
		status.WithDevices(apply(is))
	}
	if same {
		return nil
	}
	patch := resourceapply.ResourceClaim(c.Name, c.Namespace).WithUID(types.UID(c.UID)).WithStatus(status)
	_, err = api.ApplyStatus(ctx, patch, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone meanwhile, another one has the name
	}
	return err
}

// allocated reports whether a claim still has a device.
func allocated(c *resourceapi.ResourceClaim, device claim.DeviceStatus) bool {
	return c.Status.Allocation != nil && slices.ContainsFunc(c.Status.Allocation.Devices.Results, func(r resourceapi.DeviceRequestAllocationResult) bool {
		return r.Driver == slice.Driver && r.Pool == device.Pool && r.Device == device.Device
	})
}

// deviceStatus returns what a claim's status says of a device, nil for nothing.
func deviceStatus(c *resourceapi.ResourceClaim, device claim.DeviceStatus) *resourceapi.AllocatedDeviceStatus {
	i := slices.IndexFunc(c.Status.Devices, func(s resourceapi.AllocatedDeviceStatus) bool {
		return s.Driver == slice.Driver && s.Pool == device.Pool && s.Device == device.Device
	})
	if i < 0 {
		return nil
	}
	return &c.Status.Devices[i]
}

// newDeviceStatus makes the status of a device, in which a condition that stays keeps its time.
func newDeviceStatus(was *resourceapi.AllocatedDeviceStatus, device claim.DeviceStatus) resourceapi.AllocatedDeviceStatus {
	s := resourceapi.AllocatedDeviceStatus{Driver: slice.Driver, Pool: device.Pool, Device: device.Device}
	if was != nil {
		s.Conditions = slices.Clone(was.Conditions)
	}
	meta.SetStatusCondition(&s.Conditions, condition(device))
	if device.Interface != "" {
		s.NetworkData = &resourceapi.NetworkDeviceData{
			InterfaceName: device.Interface, HardwareAddress: device.MAC, IPs: firstIPs(device.IPs),
		}
	}
	return s
}

// condition says whether the pod has the device.
func condition(device claim.DeviceStatus) metav1.Condition {
	c := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Attached", Message: device.Problem}
	switch {
	case device.Ready:
	case device.Problem != "":
		c.Status, c.Reason = metav1.ConditionFalse, "NotAttached"
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Reserved", "waits for the pod to start"
	}
	c.Message = c.Message[:min(len(c.Message), mostText)]
	return c
}

// firstIPs are as many addresses as the API server takes, each once.
func firstIPs(ips []string) (first []string) {
	for _, ip := range ips {
		if len(first) < mostIPs && !slices.Contains(first, ip) {
			first = append(first, ip)
		}
	}
	return first
}

// apply is a status as server-side apply wants it.
func apply(s resourceapi.AllocatedDeviceStatus) *resourceapply.AllocatedDeviceStatusApplyConfiguration {
	a := resourceapply.AllocatedDeviceStatus().WithDriver(s.Driver).WithPool(s.Pool).WithDevice(s.Device)
	for _, c := range s.Conditions {
		a.WithConditions(metaapply.Condition().WithType(c.Type).WithStatus(c.Status).WithReason(c.Reason).
			WithMessage(c.Message).WithLastTransitionTime(c.LastTransitionTime))
	}
	if n := s.NetworkData; n != nil {
		a.WithNetworkData(resourceapply.NetworkDeviceData().WithInterfaceName(n.InterfaceName).
			WithHardwareAddress(n.HardwareAddress).WithIPs(n.IPs...))
	}
	return a
}
