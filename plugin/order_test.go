package plugin

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/containerd/nri/pkg/api"
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
	eventually(t, "hook at work", func() bool {
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

// All that can happen at the same time does: hooks of two pods that want the same
// devices and of a third, sweeps, lists, an operator. In the end the pods end,
// and everything is as before.
func TestEverythingAtOnce(t *testing.T) {
	n := newNode(t, allowAll)
	before := n.World.String()
	pods := []*api.PodSandbox{
		n.pod("a", "- name: eth1\n- name: eth2\n"),
		n.pod("b", "- {name: eth2, newName: eth1}\n- {name: eth1, newName: eth2}\n"),
		n.pod("c", "- name: eth3"),
	}
	lab := n.AddNamespace("lab")
	ctx := context.Background()
	doings := []func(*api.PodSandbox){
		func(pod *api.PodSandbox) { _ = n.RunPodSandbox(ctx, pod) }, // refused, now and then
		func(pod *api.PodSandbox) { _, _, _ = n.CreateContainer(ctx, pod, nil) },
		func(pod *api.PodSandbox) { _ = n.StopPodSandbox(ctx, pod) },
		func(pod *api.PodSandbox) { _, _ = n.Synchronize(ctx, []*api.PodSandbox{pod}, nil) },
		func(*api.PodSandbox) { n.sweep() },
		func(*api.PodSandbox) { _, _ = n.Move(ctx, Move{Device: "eth3", Netns: "lab"}, "lab") },
		func(*api.PodSandbox) { _, _ = n.Return(Selection{All: true}) },
		func(*api.PodSandbox) { _ = n.Status() },
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		chance := rand.New(rand.NewPCG(uint64(worker), 0))
		wg.Go(func() {
			for range 200 {
				doings[chance.IntN(len(doings))](pods[chance.IntN(len(pods))])
			}
		})
	}
	wg.Wait()
	for _, pod := range pods {
		if err := n.StopPodSandbox(ctx, pod); err != nil {
			t.Error(err)
		}
		n.RemoveNamespace("pod-" + pod.Name)
	}
	if r, err := n.Return(Selection{All: true}); err != nil || len(r.Problems) > 0 {
		t.Error(err, r.Problems)
	}
	lab.Leave()
	n.RemoveNamespace("lab")
	n.asBefore(t, before)
}
