package main

import (
	"fmt"
	"os"
	"strings"
)

// The node's network namespaces, as ip-netns(8) names them: the host's is that of
// this process, and the far ends of the devices are in one that no move concerns.
const (
	hostNetns = "host"
	podNetns  = "pod"
	farNetns  = "far"
)

func netnsPath(name string) string { return "/run/netns/" + name }

// group is the device group (ip-link(8)) of all that a node has on the host, so that
// one request removes it.
const group = 1

// build makes the namespaces and what is in them.
func (n *node) build() error {
	for _, args := range []string{
		fmt.Sprintf("netns attach %s %d", hostNetns, os.Getpid()),
		"netns add " + podNetns,
		"netns add " + farNetns,
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	if err := batch(hostNetns, n.devicesScript()+n.interfacesScript()); err != nil {
		return err
	}
	return batch(farNetns, n.farScript())
}

// raze removes all that build has made.
func raze() error {
	for _, args := range []string{
		fmt.Sprintf("link del group %d", group),
		"netns del " + podNetns,
		"netns del " + farNetns,
		"netns del " + hostNetns,
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	return nil
}

// ip runs ip(8).
func ip(args string) error { return run("", "ip", strings.Fields(args)...) }

// batch runs ip(8) in the namespace, for many commands.
func batch(netns, script string) error { return run(script, "ip", "-n", netns, "-batch", "-") }

func (n *node) devicesScript() string {
	var b strings.Builder
	for i, d := range n.devices {
		fmt.Fprintf(&b, "link add %s group %d type veth peer name far%d netns %s\n", d.onHost, group, i, farNetns)
		fmt.Fprintf(&b, "link set %s up\n", d.onHost)
		for j := range n.addresses {
			fmt.Fprintf(&b, "addr add %s dev %s\n", address(i, j), d.onHost)
		}
	}
	return b.String()
}

func (n *node) farScript() string {
	var b strings.Builder
	for i := range n.devices {
		fmt.Fprintf(&b, "link set far%d up\n", i)
	}
	return b.String()
}

// address is one of a device's: IPv4 and IPv6 in turn, of the networks for
// benchmarks (RFC 2544, RFC 5180).
func address(device, i int) string {
	if i%2 == 0 {
		return fmt.Sprintf("198.18.%d.%d/24", device, i+1)
	}
	return fmt.Sprintf("2001:2:0:%x::%x/64 nodad", device, i+1)
}

// interfacesScript makes the other interfaces of the host: pairs of which both ends
// are there, down, with an address each.
func (n *node) interfacesScript() string {
	var b strings.Builder
	for i := range n.interfaces {
		if i%2 == 0 {
			fmt.Fprintf(&b, "link add other%d group %d type veth peer name other%d\n", i, group, i+1)
		}
		fmt.Fprintf(&b, "addr add 10.%d.%d.%d/32 dev other%d\n", i>>16, i>>8&0xff, i&0xff, i)
	}
	return b.String()
}
