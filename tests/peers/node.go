package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
)

// node is a host with devices to give away, and a pod. If one cannot be made, or
// something fails on it, the process ends, and what there is of it with that.
type node struct {
	scale
	devices []device

	host, pod       netmove.Namespace
	hostEnd, podEnd *end

	inside time.Duration // what the moves of the operation have taken so far
}

// scale is how much there is.
type scale struct {
	addresses  int // of each device
	interfaces int // of the host, besides the devices
	devices    int // of the pod
}

// base is the scale at which peers are compared.
func base() scale { return scale{addresses: 2, interfaces: 0, devices: 1} }

func (s scale) String() string {
	return fmt.Sprintf("addresses per device: %d, other interfaces on the host: %d, devices per pod: %d",
		s.addresses, s.interfaces, s.devices)
}

// device is one that moves.
type device struct {
	onHost, inPod string // its names
	before        netmove.Device
}

func newNode(s scale) (*node, error) {
	n := &node{scale: s}
	for i := range s.devices {
		n.devices = append(n.devices, device{onHost: fmt.Sprintf("eth%d", i+1), inPod: fmt.Sprintf("net%d", i+1)})
	}
	if err := n.build(); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		return nil, err
	}
	if err := n.settle(); err != nil {
		return nil, err
	}
	for i := range n.devices {
		d := &n.devices[i]
		var err error
		if d.before, err = netmove.Read(n.host, d.onHost); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *node) open() (err error) {
	if n.hostEnd, err = openEnd(hostNetns); err != nil {
		return err
	}
	if n.podEnd, err = openEnd(podNetns); err != nil {
		return err
	}
	if n.host, err = (kernel.Linux{}).OpenOwn(); err != nil {
		return err
	}
	n.pod, err = (kernel.Linux{}).OpenNamespace(netnsPath(podNetns))
	return err
}

// close removes the node.
func (n *node) close() error {
	return errors.Join(n.host.Close(), n.pod.Close(), n.hostEnd.close(), n.podEnd.close(), raze())
}

// moved takes in how long a request has taken that moves a device.
func (n *node) moved(took time.Duration) { n.inside += took }

// arrived makes sure that the devices are in the pod, and tells how many addresses
// they have there.
func (n *node) arrived() (addresses int, err error) {
	for _, d := range n.devices {
		have, err := found(n.pod, d.inPod, d.before.Identity)
		if err != nil {
			return 0, fmt.Errorf("in the pod: %w", err)
		}
		addresses += have
	}
	return addresses, nil
}

// returned does so on the host, where it then makes the devices what they were.
func (n *node) returned() (addresses int, err error) {
	restorer := &netmove.Mover{Now: kernel.Linux{}.Now, Host: n.host, Log: discard()}
	for _, d := range n.devices {
		have, err := found(n.host, d.onHost, d.before.Identity)
		if err == nil {
			err = restorer.Return(nil, &netmove.Attachment{Before: d.before.Snapshot})
		}
		if err != nil {
			return 0, fmt.Errorf("on the host: %w", err)
		}
		addresses += have
	}
	return addresses, nil
}

// found makes sure that the device is there under that name and its old index, and
// counts its addresses.
func found(ns netmove.Namespace, name string, id netmove.Identity) (addresses int, err error) {
	dev, err := ns.ByName(name)
	if err != nil {
		return 0, fmt.Errorf("device %q: %w", name, err)
	}
	if !dev.Identity.Same(id) || dev.Identity.Index != id.Index {
		return 0, fmt.Errorf("device %q is another one, or has another index", name)
	}
	err = ns.Fill(&dev, netmove.PartAddresses)
	for _, a := range dev.Addresses {
		if a.Scope == netmove.ScopeGlobal {
			addresses++
		}
	}
	return addresses, err
}
