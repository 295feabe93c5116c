package slice

import (
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/dynamic-resource-allocation/deviceattribute"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// Attributes lists the names of the attributes that a device may have, without the domain
// where that is the driver's.
func Attributes() []resourceapi.QualifiedName {
	return []resourceapi.QualifiedName{
		"pool", "interface", "driver", "mac", "kind", "mtu", "speed", "rdma",
		deviceattribute.StandardDeviceAttributePCIBusID,
		deviceattribute.StandardDeviceAttributePCIeRoot,
		deviceattribute.StandardDeviceAttributeNUMANode,
	}
}

// attributes describes a device. What is not known of it is absent.
func attributes(d claim.Device) map[resourceapi.QualifiedName]resourceapi.DeviceAttribute {
	a := map[resourceapi.QualifiedName]resourceapi.DeviceAttribute{}
	for name, text := range map[resourceapi.QualifiedName]string{
		"pool": d.Pool, "interface": d.Interface, "driver": d.Driver, "mac": d.MAC, "kind": d.Kind, "rdma": d.RDMA,
		deviceattribute.StandardDeviceAttributePCIBusID: d.PCIAddress,
		deviceattribute.StandardDeviceAttributePCIeRoot: d.PCIeRoot,
	} {
		if publishable(text) {
			a[name] = resourceapi.DeviceAttribute{StringValue: &text}
		}
	}
	for name, number := range map[resourceapi.QualifiedName]int{"mtu": d.MTU, "speed": d.Speed} {
		if number > 0 {
			a[name] = resourceapi.DeviceAttribute{IntValue: new(int64(number))}
		}
	}
	if d.NUMANode != nil && *d.NUMANode >= 0 {
		a[deviceattribute.StandardDeviceAttributeNUMANode] = resourceapi.DeviceAttribute{IntValue: new(int64(*d.NUMANode))}
	}
	return a
}
