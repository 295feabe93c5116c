package slice

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/dynamic-resource-allocation/resourceslice"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// Driver is the name of the driver: of the claims that are ours, and the domain of our
// attributes and taints.
const Driver = "netdev.noderesource.dev"

// Pool makes the node's pool of an inventory. An API server that knows no taints would
// drop them: such devices are left out instead, if taints is false. What Pool returns as
// problems are devices that the API server would refuse a whole slice for.
func Pool(inventory []claim.Device, taints bool) (pool resourceslice.Pool, problems []string) {
	devices, problems := deviceList(inventory, taints)
	pool.Slices = []resourceslice.Slice{{}} // an empty one says that the driver runs
	for i, part := range slices.Collect(slices.Chunk(devices, resourceapi.ResourceSliceMaxDevicesWithAdvancedFeatures)) {
		if i > 0 {
			pool.Slices = append(pool.Slices, resourceslice.Slice{})
		}
		pool.Slices[i].Devices = part
	}
	return pool, problems
}

// deviceList lists the devices that can be published, in the order of their names: that
// of the inventory may change, and each change would be one of slices.
func deviceList(inventory []claim.Device, taints bool) (devices []resourceapi.Device, problems []string) {
	inventory = slices.SortedStableFunc(slices.Values(inventory), func(a, b claim.Device) int { return cmp.Compare(a.Name, b.Name) })
	last := ""
	for _, d := range inventory {
		if wrong := validation.IsDNS1123Label(d.Name); len(wrong) > 0 {
			problems = append(problems, fmt.Sprintf("device %q (interface %q) is not published: its name is no DNS label", d.Name, d.Interface))
			continue
		}
		if d.Name == last {
			problems = append(problems, fmt.Sprintf("device %q (interface %q) is not published: another one has the name", d.Name, d.Interface))
			continue
		}
		last = d.Name
		taint := taintsOf(d)
		if len(taint) > 0 && !taints {
			continue
		}
		devices = append(devices, resourceapi.Device{Name: d.Name, Attributes: attributes(d), Taints: taint})
	}
	return devices, problems
}

// taintsOf keeps the scheduler from a device that no pod can have now. One that a claim
// has needs none: the scheduler knows that itself.
func taintsOf(d claim.Device) []resourceapi.DeviceTaint {
	switch d.State {
	case claim.Free:
		return nil
	case claim.Reserved, claim.InUse:
		if d.Claim != "" {
			return nil
		}
		return []resourceapi.DeviceTaint{taint(claim.InUse)}
	default:
		return []resourceapi.DeviceTaint{taint(d.State)}
	}
}

func taint(s claim.State) resourceapi.DeviceTaint {
	return resourceapi.DeviceTaint{Key: Driver + "/" + string(s), Effect: resourceapi.DeviceTaintEffectNoSchedule}
}

// publishable reports whether the API server takes text as an attribute. The kernel's
// names are bytes, and JSON has marked what is no text.
func publishable(text string) bool {
	return text != "" && len(text) <= resourceapi.DeviceAttributeMaxValueLength && !strings.ContainsRune(text, '\uFFFD')
}
