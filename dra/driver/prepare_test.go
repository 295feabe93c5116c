package driver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// config is opaque parameters.
func config(source resourceapi.AllocationConfigSource, driver, text string, requests ...string) resourceapi.DeviceAllocationConfiguration {
	opaque := &resourceapi.OpaqueDeviceConfiguration{Driver: driver, Parameters: runtime.RawExtension{Raw: []byte(text)}}
	return resourceapi.DeviceAllocationConfiguration{
		Source: source, Requests: requests, DeviceConfiguration: resourceapi.DeviceConfiguration{Opaque: opaque},
	}
}

// allocatedClaim is a claim of a pod's, with two devices of ours and one of another driver's.
func allocatedClaim() *resourceapi.ResourceClaim {
	const ours, class, byClaim = "netdev.noderesource.dev", resourceapi.AllocationConfigSourceClass, resourceapi.AllocationConfigSourceClaim
	return &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "ns", UID: "uid-c"},
		Status: resourceapi.ResourceClaimStatus{
			ReservedFor: []resourceapi.ResourceClaimConsumerReference{{Resource: "pods", Name: "p", UID: "uid-p"}},
			Allocation: &resourceapi.AllocationResult{Devices: resourceapi.DeviceAllocationResult{
				Results: []resourceapi.DeviceRequestAllocationResult{
					{Request: "nic/fast", Driver: ours, Pool: "node", Device: "a"},
					{Request: "gpu", Driver: "gpu.example.com", Pool: "node", Device: "g"},
					{Request: "other", Driver: ours, Pool: "node", Device: "b"},
				},
				Config: []resourceapi.DeviceAllocationConfiguration{
					config(byClaim, ours, `{"of": "claim, nic"}`, "nic"),
					config(byClaim, ours, `{"of": "claim, slow"}`, "nic/slow"),
					config(class, ours, `{"of": "class, fast"}`, "nic/fast"),
					config(class, "gpu.example.com", `{"of": "gpu"}`),
					config(byClaim, ours, `{"of": "claim, all"}`),
				},
			}},
		},
	}
}

func TestClaimOf(t *testing.T) {
	got, err := claimOf(allocatedClaim())
	if err != nil {
		t.Fatal(err)
	}
	want := claim.Claim{
		UID: "uid-c", Namespace: "ns", Name: "c", Pod: claim.Pod{UID: "uid-p", Namespace: "ns", Name: "p"},
		Requests: []claim.Request{
			{Name: "nic/fast", Pool: "node", Device: "a", Parameters: []json.RawMessage{
				json.RawMessage(`{"of": "class, fast"}`), json.RawMessage(`{"of": "claim, nic"}`), json.RawMessage(`{"of": "claim, all"}`),
			}},
			{Name: "other", Pool: "node", Device: "b", Parameters: []json.RawMessage{json.RawMessage(`{"of": "claim, all"}`)}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestClaimOfRefused(t *testing.T) {
	yes := true
	for name, tc := range map[string]struct {
		change func(*resourceapi.ResourceClaim)
		want   string
	}{
		"not allocated": {func(c *resourceapi.ResourceClaim) { c.Status.Allocation = nil }, "it is not allocated"},
		"two pods": {func(c *resourceapi.ResourceClaim) {
			c.Status.ReservedFor = append(c.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: "q", UID: "uid-q"})
		}, "it is reserved for 2 pods: a network device is in one pod only, use a ResourceClaimTemplate"},
		"no pod":    {func(c *resourceapi.ResourceClaim) { c.Status.ReservedFor = nil }, "it is reserved for 0 pods"},
		"not a pod": {func(c *resourceapi.ResourceClaim) { c.Status.ReservedFor[0].Resource = "jobs" }, `it is reserved for jobs "p": network devices go to pods only`},
		"admin": {func(c *resourceapi.ResourceClaim) {
			c.Status.Allocation.Devices.Results[2].AdminAccess = &yes
		}, `request "other" has adminAccess`},
		"nothing of ours": {func(c *resourceapi.ResourceClaim) {
			c.Status.Allocation.Devices.Results = c.Status.Allocation.Devices.Results[1:2]
		}, `it has no device of driver "netdev.noderesource.dev"`},
	} {
		c := allocatedClaim()
		tc.change(c)
		if _, err := claimOf(c); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
