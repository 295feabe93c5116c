package plugin

import (
	"context"
	"testing"

	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// While the kernel is busy with one pod, the hooks of pods without devices are
// answered: they wait for nothing.
func TestOthersDoNotWait(t *testing.T) {
	n := newNode(t, allowAll)
	pod, other := n.pod("a", "- name: eth1"), n.pod("b", "")
	other.Annotations = nil
	unblock := n.Block()
	done := make(chan error, 1)
	go func() { done <- n.RunPodSandbox(context.Background(), pod) }()
	plugintest.Eventually(t, "hook at work", func() bool {
		if idle := n.hooks.TryLock(); !idle {
			return true
		}
		n.hooks.Unlock()
		return false
	})
	ctx := t.Context()
	for range 100 {
		if err := n.RunPodSandbox(ctx, other); err != nil {
			t.Error(err)
		}
		if _, _, err := n.CreateContainer(ctx, other, nil); err != nil {
			t.Error(err)
		}
		if err := n.StopPodSandbox(ctx, other); err != nil {
			t.Error(err)
		}
	}
	select {
	case err := <-done:
		t.Fatalf("the pod with devices did not wait: %v", err)
	default:
	}
	unblock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Containers of others cost nothing.
func TestGateForPodsOfOthers(t *testing.T) {
	n := newNode(t, allowAll)
	pod := &api.PodSandbox{Id: "x", Annotations: map[string]string{"example.com/other": "x"}}
	c := &api.Container{Id: "c", PodSandboxId: "x"}
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := n.CreateContainer(ctx, pod, c); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
