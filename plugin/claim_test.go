package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

const withPool = allowAll + "pools: [{name: fast, devices: [\"eth*\"]}]\n"

// claimed makes a pod without an annotation, and prepares a claim for it.
func (n *node) claimed(t *testing.T, name, device string) *api.PodSandbox {
	t.Helper()
	pod := n.pod(name, "")
	pod.Annotations = nil
	_, err := n.Prepare(claim.Claim{
		UID: "c-" + name, Namespace: pod.Namespace, Name: "nic-of-" + name,
		Pod:      claim.Pod{UID: pod.Uid, Namespace: pod.Namespace, Name: pod.Name},
		Requests: []claim.Request{{Name: "nic", Pool: "node-1", Device: device}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// container is one that asks for CDI devices.
func container(pod *api.PodSandbox, devices ...string) *api.Container {
	c := &api.Container{Id: "c", PodSandboxId: pod.Id}
	for _, name := range devices {
		c.CDIDevices = append(c.CDIDevices, &api.CDIDevice{Name: name})
	}
	return c
}

// A pod that only its claim gives a device has it before its containers start, and until it
// ends. A second pod of the claim gets no container.
func TestPodWithAClaim(t *testing.T) {
	n := newNode(t, withPool)
	ctx := t.Context()
	pod, second := n.claimed(t, "a", "net-eth1"), n.pod("b", "")
	second.Annotations = nil
	before := n.World.String()
	if err := errors.Join(n.RunPodSandbox(ctx, pod), n.RunPodSandbox(ctx, second)); err != nil {
		t.Fatal(err)
	}
	spec := filepath.Join(n.cdi, "netdev.noderesource.dev-claim-c-a.json")
	if _, err := os.Stat(spec); err != nil || !n.hasDevices(pod) {
		t.Errorf("the pod has its device: %v, %v", n.hasDevices(pod), err)
	}
	const name = "netdev.noderesource.dev/claim=c-a-nic"
	if _, _, err := n.CreateContainer(ctx, pod, container(pod, "other.example/gpu=0", name)); err != nil {
		t.Error(err)
	}
	if _, _, err := n.CreateContainer(ctx, second, container(second, "other.example/gpu=0", name)); err == nil || !strings.Contains(err.Error(), "claim default/nic-of-a is for pod default/a") {
		t.Errorf("the second pod: %v", err)
	}
	if _, _, err := n.CreateContainer(ctx, second, container(second, "other.example/gpu=0")); err != nil {
		t.Errorf("a container of the second pod that does not ask for the device: %v", err)
	}
	if err := n.StopPodSandbox(ctx, pod); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(spec); err == nil {
		t.Error("the CDI specification is left")
	}
	if err := n.Unprepare("c-a"); err != nil {
		t.Error(err)
	}
	n.asBefore(t, before)
}

// The runtime lists a pod whose claim was prepared while nobody told the plugin of it.
func TestListedWithAClaim(t *testing.T) {
	n := newNode(t, withPool)
	pod := n.claimed(t, "a", "net-eth1")
	has, asking := n.listed([]*api.PodSandbox{pod}, nil)
	if len(asking) != 1 {
		t.Fatalf("asking are %v", asking)
	}
	n.sandboxes.List(has, asking)
	n.sandboxes.Recover()
	if !n.hasDevices(pod) {
		t.Error("the pod waits for its device for ever")
	}
}

// Claims of some pods cost others nothing: no request to the kernel, no file, no allocation.
func TestOthersBesideClaims(t *testing.T) {
	n := newNode(t, withPool)
	n.claimed(t, "a", "net-eth1")
	n.claimed(t, "b", "net-eth2")
	pod := n.pod("c", "")
	pod.Annotations = map[string]string{"example.com/other": "x"}
	c := container(pod, "other.example/gpu=0")
	if err := errors.Join(os.RemoveAll(n.state), os.RemoveAll(n.cdi)); err != nil { // any access would fail
		t.Fatal(err)
	}
	n.Fail(0, netmovetest.Never)
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		_, _, err := n.CreateContainer(ctx, pod, c)
		if err := errors.Join(err, n.RunPodSandbox(ctx, pod), n.StopPodSandbox(ctx, pod), n.RemovePodSandbox(ctx, pod)); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 || n.Calls() != 0 {
		t.Errorf("%v allocations and %d requests for a pod of others", allocs, n.Calls())
	}
}
