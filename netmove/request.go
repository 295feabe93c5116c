package netmove

import "net/netip"

// Request is what a pod wants of one host device.
//
// The zero value of every field but Device keeps what the device has on the
// host, so Request{Device: "eth1"} moves eth1 as it is.
type Request struct {
	// Device is the host device's name, or exactly one of its altnames.
	Device string `json:"device"`

	// PodName is the device's name in the pod; "" keeps the host name
	// (the kernel name, also when Device is an altname).
	PodName string `json:"podName,omitempty"`

	// Addresses replace the device's own in the pod, in this order. nil keeps
	// the permanent addresses of global scope; empty, not nil, means none.
	Addresses []netip.Prefix `json:"addresses,omitzero"`

	// MTU in bytes (IFLA_MTU); 0 keeps the device's.
	MTU int `json:"mtu,omitempty"`

	// MAC is a unicast Ethernet address (IFLA_ADDRESS); nil keeps the device's.
	MAC MAC `json:"mac,omitempty"`
}
