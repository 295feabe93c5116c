package main

import (
	"fmt"
	"strings"
)

// peer is one way of giving the node's devices to the pod, and of taking them back.
type peer interface {
	attach() error
	giveBack() error
}

// peerNames are all peers, in the order in which they are shown. The first is what
// the others are compared with.
func peerNames() []string {
	return []string{"bare", "runc", "ip", "host-device", "engine", "plugin"}
}

// newPeer makes the peer for a node.
func newPeer(name string, n *node, hostDevice string) (peer, error) {
	switch name {
	case "bare":
		return bare{n}, nil
	case "runc":
		return runc{n}, nil
	case "ip":
		return ipProgram{n}, nil
	case "host-device":
		return newHostDevice(n, hostDevice)
	case "engine":
		return newEngine(n), nil
	case "plugin":
		return newHook(n)
	}
	return nil, fmt.Errorf("no peer %q: want some of %s", name, strings.Join(peerNames(), ","))
}
