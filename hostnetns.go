package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/nri-netdev/nri-netdev/netmove/kernel"
)

// ownNetns is the network namespace of the main thread, which never leaves it.
const ownNetns = "/proc/self/ns/net"

// openHost opens the network namespace that devices come from. Without a path this must
// be pid 1's: a plugin in a pod without hostNetwork would else take the pod for the node.
func openHost(k kernel.Linux, path string) (*kernel.Namespace, error) {
	if path == "" {
		same, err := inHostNetns()
		if err != nil {
			return nil, withHint(fmt.Errorf("find out whether this is the network namespace of pid 1: %w", err), "run as root in the host's pid namespace, or name the network namespace with --host-netns")
		}
		if !same {
			return nil, withHint(errors.New("this is not the network namespace of pid 1"),
				"in a pod, set hostNetwork and hostPID; if it is meant, say --host-netns self")
		}
		path = "self"
	}
	open := func() (*kernel.Namespace, error) { return k.Open(path) }
	if path == "self" {
		open = k.OpenOwn
	}
	host, err := open()
	if errors.Is(err, os.ErrPermission) {
		return nil, withHint(err, "root is needed (CAP_NET_ADMIN and CAP_SYS_ADMIN)")
	}
	if err != nil {
		return nil, err
	}
	return host, nil
}

// inHostNetns reports whether the process is in the network namespace of pid 1.
func inHostNetns() (bool, error) { return sameFile(ownNetns, "/proc/1/ns/net") }

func sameFile(a, b string) (bool, error) {
	sa, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	sb, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(sa, sb), nil
}
