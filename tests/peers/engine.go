package main

import (
	"context"
	"errors"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// engine is package netmove. As in the plugin, the host's namespace is open all the
// time, and the pod's is opened for each operation.
type engine struct {
	*node
	mover *netmove.Mover
	plan  netmove.Plan // of what the pod has
}

func newEngine(n *node) *engine {
	return &engine{node: n, mover: &netmove.Mover{Now: linux().Now, Host: n.host, Log: discard(), Moved: n.moved}}
}

func (e *engine) attach() error {
	var requests []netmove.Request
	var devices []netmove.Device
	for _, d := range e.devices {
		dev, err := netmove.Read(e.mover.Host, d.onHost)
		if err != nil {
			return err
		}
		requests = append(requests, netmove.Request{Device: d.onHost, PodName: d.inPod})
		devices = append(devices, dev)
	}
	var err error
	if e.plan, err = netmove.NewPlan(requests, devices); err != nil {
		return err
	}
	return e.withPod(func(pod netmove.Namespace) error {
		if err := e.mover.Prepare(pod, e.plan); err != nil {
			return err
		}
		return e.mover.Attach(context.Background(), pod, e.plan)
	})
}

func (e *engine) giveBack() error {
	return e.withPod(func(pod netmove.Namespace) error {
		var errs []error
		for _, i := range netmove.Homeward(e.plan) {
			errs = append(errs, e.mover.Return(pod, &e.plan[i]))
		}
		return errors.Join(errs...)
	})
}

func (e *engine) withPod(f func(pod netmove.Namespace) error) error {
	pod, err := linux().OpenNamespace(netnsPath(podNetns))
	if err != nil {
		return err
	}
	return errors.Join(f(pod), pod.Close())
}
