// Package node_test runs pods without the plugin, to test the node itself.
package node_test

import (
	"os"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// startNode starts a node for one test, and shows containerd's log if the
// test fails.
func startNode(t *testing.T, opts node.Options) *node.Node {
	t.Helper()
	if os.Geteuid() != 0 {
		nstest.Unavailable(t, "netns", "a node needs root")
	}
	if err := node.Check(); err != nil {
		nstest.Unavailable(t, "containerd", err.Error())
	}
	n, err := node.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("containerd:\n%s", n.Log())
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// runPod runs a pod, which ends with the node at latest.
func runPod(t *testing.T, n *node.Node, pod node.Pod) *node.Sandbox {
	t.Helper()
	sandbox, err := n.RunPod(t.Context(), pod)
	if err != nil {
		t.Fatal(err)
	}
	return sandbox
}

// removePod stops and removes a pod, as the kubelet does.
func removePod(t *testing.T, sandbox *node.Sandbox) {
	t.Helper()
	if err := sandbox.Stop(t.Context()); err != nil {
		t.Errorf("stop %s: %v", sandbox.ID, err)
	}
	if err := sandbox.Remove(t.Context()); err != nil {
		t.Errorf("remove %s: %v", sandbox.ID, err)
	}
}

// podNetns is a pod's network namespace for the test to look into.
func podNetns(t *testing.T, n *node.Node, sandbox *node.Sandbox) *nstest.NS {
	t.Helper()
	path, err := sandbox.Netns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return nstest.At(n.Path(path))
}
