package node_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// inventory is what pods could leave on a node: devices with their addresses,
// namespaces, mounts, processes.
func inventory(t *testing.T, n *node.Node) string {
	t.Helper()
	const script = `ls /run/netns 2>/dev/null
		while read -r id parent dev root mount rest; do echo "$mount"; done </proc/self/mountinfo
		for pid in /proc/[0-9]*; do [ $pid = /proc/$$ ] || readlink $pid/exe || echo zombie; done`
	things, err := n.Output("sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	return nstest.At(n.Netns()).World(t) + things
}

func TestPodsLeaveNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{})
	before := inventory(t, n)
	for _, pod := range []node.Pod{
		{Name: "ordinary"},
		{Name: "host-network", HostNetwork: true},
		{Name: "user-namespace", UserNamespace: true},
		{Name: "handler", RuntimeHandler: "other"},
	} {
		removePod(t, runPod(t, n, pod))
	}
	if diff := cmp.Diff(before, inventory(t, n)); diff != "" {
		t.Errorf("the node before and after (-before +after):\n%s", diff)
	}
}

func TestContainerSeesThePodsNetwork(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{})
	sandbox := runPod(t, n, node.Pod{Name: "pod"})
	container, err := sandbox.RunContainer(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	network, err := container.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(network, "\neth0 mtu 1500 up|broadcast|multicast|running 198.51.100.") {
		t.Errorf("no eth0 of the pod network in\n%s", network)
	}
	if world := podNetns(t, n, sandbox).World(t); !strings.Contains(world, "inet 198.51.100.") {
		t.Errorf("from outside: no address of the pod network in\n%s", world)
	}
}

func TestUserNamespaceOwnsThePodsNetwork(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{})
	if owner, ours := netnsOwner(t, podNetns(t, n, runPod(t, n, node.Pod{Name: "ordinary"})).Path()); owner != ours {
		t.Errorf("an ordinary pod's network namespace belongs to user namespace %d, want the node's, %d", owner, ours)
	}
	pod := node.Pod{Name: "user-namespace", UserNamespace: true}
	if owner, ours := netnsOwner(t, podNetns(t, n, runPod(t, n, pod)).Path()); owner == ours {
		t.Error("the network namespace of a pod with a user namespace belongs to the node's")
	}
}

// netnsOwner is the user namespace that owns a network namespace, and the
// test's own.
func netnsOwner(t *testing.T, path string) (owner, ours uint64) {
	t.Helper()
	netns, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	fd, err := unix.IoctlRetInt(int(netns.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var theirs, own unix.Stat_t
	if err := unix.Fstat(fd, &theirs); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat("/proc/self/ns/user", &own); err != nil {
		t.Fatal(err)
	}
	return theirs.Ino, own.Ino
}

func TestPodsOutliveContainerd(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{})
	sandbox := runPod(t, n, node.Pod{Name: "pod"})
	before := podNetns(t, n, sandbox).World(t)
	if err := n.RestartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, podNetns(t, n, sandbox).World(t)); diff != "" {
		t.Errorf("the pod's network before and after a restart (-before +after):\n%s", diff)
	}
	removePod(t, sandbox)
}
