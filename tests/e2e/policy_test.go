package e2e_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// policies are all that failurePolicy of the node config can say.
const (
	failAndDrop = "{failRequest: true, keepConnected: false}" // the default
	failAndKeep = "{failRequest: true, keepConnected: true}"
	passAndDrop = "{failRequest: false, keepConnected: false}"
	passAndKeep = "{failRequest: false, keepConnected: true}"
)

// TestFailurePolicies is what the node config's failurePolicy makes of the same
// fault, for the pod that asks for a device and for those of others.
func TestFailurePolicies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault string
		steps func(*testing.T, *trial)
		under map[string][]string
	}{
		{"stalled", stalledForAll, map[string][]string{
			failAndDrop: {"other refused: RunPodSandbox timed out", "pod runs", "container without", "resumed", "missed", "container refused: missed"},
			failAndKeep: {"other refused: RunPodSandbox timed out", "pod refused: RunPodSandbox timed out", "resumed", "pod runs", "container with"},
			passAndDrop: {"other runs", "pod runs", "container without", "resumed", "missed", "container refused: missed"},
			// The plugin has itself dropped: nobody would tell it that it was too late.
			passAndKeep: {"other runs", "pod runs", "container without", "resumed", "missed", "container refused: missed"},
		}},
		{"killed", killedForOther, map[string][]string{
			failAndDrop: {"other refused: RunPodSandbox lost", "other runs", "pod runs", "back", "container with"},
			failAndKeep: {"other refused: RunPodSandbox lost", "other runs", "pod runs", "back", "container with"},
			passAndDrop: {"other runs", "other runs", "pod runs", "back", "container with"},
		}},
		{"stalled while three pods start", stalledForThree, map[string][]string{
			failAndDrop: {"1 of 3 refused", "resumed"},
			passAndDrop: {"0 of 3 refused", "resumed"},
		}},
		{"stalled while a pod ends", stalledForTheEnd, map[string][]string{
			failAndDrop: {"pod runs", "container with", "other runs", "all ended", "resumed"},
			failAndKeep: {"pod runs", "container with", "other runs", "all ended", "resumed"},
		}},
	} {
		for policy, want := range tc.under {
			t.Run(tc.fault+"/"+policy, func(t *testing.T) {
				t.Parallel()
				config := fmt.Sprintf("%sfailurePolicy: %s\n", nodeConfig, policy)
				opts := withPolicy
				if tc.fault == "killed" {
					opts.Config = patient
				}
				try(t, opts, config, tc.steps, want)
			})
		}
	}
}

// Another pod is the first to meet the stalled plugin, as its request goes to
// every plugin.
func stalledForAll(t *testing.T, tr *trial) {
	before := tr.synchronizations()
	tr.plugin.stall(t)
	tr.other(t)
	tr.runPod(t)
	if tr.sandbox != nil {
		tr.container(t)
	}
	tr.resumeKept(t, before)
	tr.runPodAgain(t)
	tr.container(t)
}

func killedForOther(t *testing.T, tr *trial) {
	tr.killInFlight(t, tr.other)
	tr.other(t)
	tr.runPod(t)
	tr.back(t)
	tr.container(t)
}

// The runtime serves one request at a time, and those that wait meet no plugin.
func stalledForThree(t *testing.T, tr *trial) {
	tr.plugin.stall(t)
	sandboxes, errs := make([]*node.Sandbox, 3), make([]error, 3)
	var starts sync.WaitGroup
	for i := range sandboxes {
		starts.Go(func() { sandboxes[i], errs[i] = tr.RunPod(t.Context(), node.Pod{Name: fmt.Sprint("other", i)}) })
	}
	starts.Wait()
	refused := 0
	for i, s := range sandboxes {
		if errs[i] != nil {
			refused++
			continue
		}
		tr.ends = append(tr.ends, s)
	}
	tr.tell(fmt.Sprintf("%d of 3 refused", refused))
	tr.resume(t)
}

// The runtime tells a plugin of a pod's end, and asks for no leave.
func stalledForTheEnd(t *testing.T, tr *trial) {
	tr.runPod(t)
	tr.container(t)
	tr.other(t)
	before := tr.synchronizations()
	tr.plugin.stall(t)
	for _, s := range tr.ends {
		tr.end(t, s)
	}
	tr.ends = nil
	tr.tell("all ended")
	tr.resumeKept(t, before)
}

// resumeKept ends a stall, after which the plugin registers anew only if the
// runtime has dropped it. Otherwise it has its requests to read.
func (tr *trial) resumeKept(t *testing.T, before int) {
	t.Helper()
	dropped := !tr.inFlight(t)
	tr.plugin.signal(t, syscall.SIGCONT)
	tr.eventually(t, "end of the stall", func() bool {
		if dropped {
			return tr.synchronizations() > before
		}
		return !tr.inFlight(t)
	})
	tr.tell("resumed")
	tr.tellMissed(t)
}
