package sandbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// answerFunc is an Answer that a test gives.
type answerFunc func() error

func (answerFunc) Late() error      { return nil }
func (f answerFunc) Succeed() error { return f() }

// onDisk is what a file of the journal says of the sandbox.
func (n *node) onDisk(t *testing.T, p *testPod) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.state, "sandboxes", p.ID+".json"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []journal.State{journal.Attaching, journal.Attached, journal.Returning, journal.Quarantined, journal.Lost} {
		if strings.Contains(string(text), `"state": "`+string(s)+`"`) {
			return string(s)
		}
	}
	return "unknown"
}

// Invariant: a sandbox is published as Attached only after the caller was told. The disk says
// so before, since a crash may come after the news.
func TestAttachedOnlyAfterTheNews(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	told := answerFunc(func() error {
		if state, _ := n.stateOf(t, "eth1"); state != StateAttaching {
			t.Errorf("published as %s before the news", state)
		}
		if got := n.onDisk(t, pod); got != "attached" {
			t.Errorf("the disk says %q before the news", got)
		}
		return nil
	})
	requests, _ := pod.requests()
	if err := n.Attach(t.Context(), pod.Sandbox, requests, told); err != nil {
		t.Fatal(err)
	}
	if state, _ := n.stateOf(t, "eth1"); state != StateAttached {
		t.Errorf("published as %s after the news", state)
	}
}

// Container A's late attach comes too late for its request; while it is undone the runtime
// asks for container B of the same pod. B waits for the undo, and then gets the devices.
//
// Invariant: what a container is told of its devices is read under the sandbox's lock.
func TestGateDuringAnUndo(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	before := n.World.String()
	var unblock func()
	tooLate := answerFunc(func() error {
		unblock = n.Block() // the undo, too, finds the kernel busy
		return errNobodyWaits
	})
	a := make(chan error, 1)
	go func() { a <- n.Admit(t.Context(), pod.Sandbox, pod.requests, tooLate) }()
	plugintest.Eventually(t, "undo", func() bool { state, _ := n.stateOf(t, "eth1"); return state == StateReturning })
	if got := n.onDisk(t, pod); got != "returning" {
		t.Errorf("the disk says %q while the device goes home", got)
	}
	b := make(chan error, 1)
	go func() { b <- n.Admit(t.Context(), pod.Sandbox, pod.requests, untilDone{context.Background()}) }()
	select {
	case err := <-b:
		t.Fatalf("container B is answered while its device goes home: %v", err)
	case <-afterAWhile():
	}
	unblock()
	if err := <-a; !errors.Is(err, errNobodyWaits) {
		t.Errorf("container A: %v", err)
	}
	if err := <-b; err != nil {
		t.Errorf("container B: %v", err)
	}
	if state, _ := n.stateOf(t, "eth1"); state != StateAttached {
		t.Errorf("container B runs, and its device is %q", state)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.asBefore(t, before)
}

// Invariant: a sandbox leaves Attached before its first device does, whoever returns it.
func TestLeavesAttachedFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		devices string
		back    func(*node, *testPod)
	}{
		"the pod ended":              {"- name: eth1", func(n *node, p *testPod) { n.End(p.ID) }},
		"all by hand":                {"- name: eth1", func(n *node, p *testPod) { _, _ = n.ReturnByHand(Selection{Sandbox: p.ID}) }},
		"one of two devices by hand": {"- name: eth1\n- name: eth2", func(n *node, p *testPod) { _, _ = n.ReturnByHand(Selection{Devices: []string{"eth1"}}) }},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, allowAll)
			pod := n.pod("a", tc.devices)
			if err := n.run(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			unblock := n.Block()
			done := make(chan struct{})
			go func() {
				tc.back(n, pod)
				close(done)
			}()
			plugintest.Eventually(t, "other state", func() bool { state, _ := n.stateOf(t, "eth1"); return state == StateReturning })
			if got := n.onDisk(t, pod); len(pod.devices) == len("- name: eth1") && got != "returning" {
				t.Errorf("the disk says %q", got)
			}
			unblock()
			<-done
		})
	}
}
