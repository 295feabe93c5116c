package sandbox

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
)

// All that can happen at the same time does: hooks of two pods that want the same
// devices and of a third, sweeps, lists, an operator. In the end the pods end,
// and everything is as before.
func TestEverythingAtOnce(t *testing.T) {
	n := newNode(t, allowAll)
	before := n.World.String()
	pods := []*testPod{
		n.pod("a", "- name: eth1\n- name: eth2\n"),
		n.pod("b", "- {name: eth2, newName: eth1}\n- {name: eth1, newName: eth2}\n"),
		n.pod("c", "- name: eth3"),
	}
	lab := n.AddNamespace("lab")
	ctx := context.Background()
	doings := []func(*testPod){
		func(pod *testPod) { _ = n.run(ctx, pod) }, // refused, now and then
		func(pod *testPod) { _ = n.Admit(ctx, pod.Sandbox, pod.requests, untilDone{ctx}) },
		func(pod *testPod) { _ = n.stop(ctx, pod) },
		func(p *testPod) { n.list([]*testPod{p}) },
		func(*testPod) { n.sweep() },
		func(*testPod) { _, _ = n.Move(ctx, Move{Device: "eth3", Netns: "lab"}, "lab") },
		func(*testPod) { _, _ = n.ReturnByHand(Selection{All: true}) },
		func(*testPod) { _ = n.Status() },
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
		if err := n.stop(ctx, pod); err != nil {
			t.Error(err)
		}
		n.RemoveNamespace("pod-" + pod.Pod.Name)
	}
	if r, err := n.ReturnByHand(Selection{All: true}); err != nil || len(r.Problems) > 0 {
		t.Error(err, r.Problems)
	}
	lab.Leave()
	n.RemoveNamespace("lab")
	n.asBefore(t, before)
}
