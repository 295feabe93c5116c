package slice

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	resourceapi "k8s.io/api/resource/v1"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

func names(devices []resourceapi.Device) (all []string) {
	for _, d := range devices {
		all = append(all, d.Name)
	}
	return all
}

func TestPoolWithoutDevices(t *testing.T) {
	pool, problems := Pool(nil, true)
	if len(pool.Slices) != 1 || len(pool.Slices[0].Devices) != 0 || problems != nil {
		t.Errorf("%d slices, %q: want one that is empty", len(pool.Slices), problems)
	}
}

// A slice with taints holds 64 devices.
func TestPoolOfManyDevices(t *testing.T) {
	for n, want := range map[int][]int{64: {64}, 65: {64, 1}, 130: {64, 64, 2}} {
		var inventory []claim.Device
		for i := range n {
			inventory = append(inventory, claim.Device{Name: fmt.Sprintf("d%03d", n-i), State: claim.Free})
		}
		pool, problems := Pool(inventory, true)
		var got []int
		var all []string
		for _, s := range pool.Slices {
			got = append(got, len(s.Devices))
			all = append(all, names(s.Devices)...)
		}
		if !slices.Equal(got, want) || problems != nil || !slices.IsSorted(all) || len(all) != n {
			t.Errorf("%d devices: %d a slice, problems %q, sorted %t", n, got, problems, slices.IsSorted(all))
		}
	}
}

func TestTaints(t *testing.T) {
	const ours = "netdev.noderesource.dev/"
	for _, tc := range []struct {
		state claim.State
		claim string
		want  string // key of the taint
	}{
		{claim.Free, "", ""},
		{claim.Reserved, "uid", ""},
		{claim.InUse, "uid", ""},
		{claim.InUse, "", ours + "in-use"},
		{claim.Misnamed, "", ours + "misnamed"},
		{claim.Misnamed, "uid", ours + "misnamed"},
		{claim.Quarantined, "", ours + "quarantined"},
		{claim.Lost, "", ours + "lost"},
		{claim.Lost, "uid", ours + "lost"},
	} {
		inventory := []claim.Device{{Name: "nic", State: tc.state, Claim: tc.claim}}
		pool, _ := Pool(inventory, true)
		var got string
		for _, taint := range pool.Slices[0].Devices[0].Taints {
			got += taint.Key
			if taint.Effect != resourceapi.DeviceTaintEffectNoSchedule {
				t.Errorf("%s: effect %s, which would end pods", tc.state, taint.Effect)
			}
		}
		if got != tc.want {
			t.Errorf("%s of claim %q: taint %q, want %q", tc.state, tc.claim, got, tc.want)
		}
		// An API server without taints would offer the device.
		pool, _ = Pool(inventory, false)
		if left := len(pool.Slices[0].Devices) == 0; left != (tc.want != "") {
			t.Errorf("%s of claim %q, no taints: left out: %t", tc.state, tc.claim, left)
		}
	}
}

// One device that the API server refuses must not keep the others of its slice away.
func TestDevicesThatCannotBePublished(t *testing.T) {
	pool, problems := Pool([]claim.Device{
		{Name: "b", State: claim.Free},
		{Name: "Eth0", Interface: "Eth0", State: claim.Free},
		{Name: "a", State: claim.Free},
		{Name: "b", Interface: "other", State: claim.Free},
		{Name: "", State: claim.Free},
	}, true)
	if got := names(pool.Slices[0].Devices); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("published: %q", got)
	}
	if text := strings.Join(problems, "\n"); len(problems) != 3 || !strings.Contains(text, `"Eth0"`) || !strings.Contains(text, `"other"`) {
		t.Errorf("problems:\n%s", text)
	}
}

func TestAttributes(t *testing.T) {
	node := 1
	whole := claim.Device{
		Name: "pci-0000-81-00-0", Pool: "fast", Interface: "enp129s0f0", Kind: "vlan", Driver: "mlx5_core", MAC: "02:00:00:00:00:01",
		MTU: 9000, Speed: 100000, PCIAddress: "0000:81:00.0", PCIeRoot: "pci0000:80", NUMANode: &node, RDMA: "mlx5_0", State: claim.Free,
	}
	got := map[resourceapi.QualifiedName]any{}
	for name, a := range attributes(whole) {
		switch {
		case a.StringValue != nil:
			got[name] = *a.StringValue
		case a.IntValue != nil:
			got[name] = *a.IntValue
		}
	}
	want := map[resourceapi.QualifiedName]any{
		"pool": "fast", "interface": "enp129s0f0", "driver": "mlx5_core", "mac": "02:00:00:00:00:01", "kind": "vlan", "rdma": "mlx5_0",
		"mtu": int64(9000), "speed": int64(100000), "resource.kubernetes.io/pciBusID": "0000:81:00.0",
		"resource.kubernetes.io/pcieRoot": "pci0000:80", "resource.kubernetes.io/numaNode": int64(1),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(Attributes())), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("Attributes: %s", diff)
	}
}

// What is not known is absent, so that a selector that asks for it matches no device.
func TestAttributesUnknown(t *testing.T) {
	none := -1
	got := attributes(claim.Device{Name: "a", Interface: "bytes\uFFFD", RDMA: strings.Repeat("x", 65), NUMANode: &none, State: claim.Free})
	if len(got) != 0 {
		t.Errorf("published: %v", slices.Collect(maps.Keys(got)))
	}
}
