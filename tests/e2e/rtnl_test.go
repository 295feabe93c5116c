package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// These tests hold the lock of all network devices, RTNL, which is the whole
// machine's: they run before the parallel ones, one after the other, and while no other
// run is at work.

// The kernel stops answering in the middle of an attach. The runtime is answered in time;
// after ten seconds that is reported, and the process goes on: once the kernel answers it
// brings everything home, and serves the next pod.
func TestKernelDoesNotAnswer(t *testing.T) {
	nstest.Alone(t)
	f := start(t)
	const devices = 8
	f.devices(t, devices)
	before := f.world(t)
	var list strings.Builder
	for i := range devices {
		fmt.Fprintf(&list, "- {name: eth%d, newName: net%d}\n", i+1, i)
	}
	ran, release := f.stuckAttach(t, list.String())
	defer release()
	f.plugin.waitFor(t, f, `msg="pod refused"`)
	f.plugin.waitFor(t, f, `msg="the kernel does not answer`)
	release()
	if err := <-ran; err == nil || !strings.Contains(err.Error(), "could not be moved in the time that the runtime allows a plugin") {
		t.Errorf("the pod is told %v", err)
	}
	f.plugin.waitFor(t, f, `msg="the kernel has answered"`)
	f.homeWithin(t, homeLimit, before)
	next, _ := f.run(t, pod("next", "- {name: eth1, newName: net1}")) // by the same process
	f.end(t, next)
	f.asBefore(t, before)
}

// stuckAttach takes RTNL in the middle of a pod's attach. On a busy machine that may come
// too late, and is tried again with another pod.
func (f *fixture) stuckAttach(t *testing.T, devices string) (ran chan error, release func()) {
	t.Helper()
	const tries = 20
	for i := range tries {
		ran := make(chan error, 1)
		sandbox := make(chan *node.Sandbox, 1)
		go func() {
			s, err := f.RunPod(t.Context(), pod(fmt.Sprint("p", i), devices))
			sandbox <- s
			ran <- err
		}()
		f.eventually(t, "attach", func() bool { return f.recordState() != "none" || len(ran) > 0 })
		release := nstest.HoldRTNL(t)
		if f.recordState() == "attaching" {
			return ran, release
		}
		release()
		if err := <-ran; err == nil {
			f.end(t, <-sandbox)
		}
	}
	t.Fatalf("no attach could be met in %d tries", tries)
	return nil, nil
}

// Somebody keeps the kernel busy. A pod has its devices, or is refused and the
// host has them, and no start waits longer than the runtime's time-out.
func TestKernelIsBusy(t *testing.T) {
	nstest.Alone(t)
	f := start(t)
	f.devices(t, 4)
	before := f.world(t)
	type result struct {
		*node.Sandbox
		err error
	}
	ran := make(chan result)
	const pods = 6
	go func() {
		for i := range pods {
			s, err := f.RunPod(t.Context(), pod(fmt.Sprint("p", i), "- {name: eth1, newName: net1}\n- {name: eth2, newName: net2}\n"))
			ran <- result{s, err}
		}
	}()
	refused := 0
	for got := 0; got < pods; {
		release := nstest.HoldRTNL(t)
		time.Sleep(time.Duration(50+60*got) * time.Millisecond) // busier and busier
		release()
		select {
		case r := <-ran:
			got++
			if r.err != nil {
				refused++
				f.mustBeAboutTime(t, r.err)
				break
			}
			path, err := r.Netns(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"net1", "net2"} {
				if got := nstest.At(f.Path(path)).Link(t, name); !strings.Contains(got, "<UP") {
					t.Errorf("the pod runs without %s:\n%s", name, got)
				}
			}
			f.end(t, r.Sandbox)
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Logf("%d of %d pods were refused", refused, pods)
	f.homeWithin(t, homeLimit, before)
}

// mustBeAboutTime checks why a pod was refused.
func (f *fixture) mustBeAboutTime(t *testing.T, err error) {
	t.Helper()
	for _, reason := range []string{"could not be moved in the time", "takes about", "in use by pod"} {
		if strings.Contains(err.Error(), reason) {
			return
		}
	}
	t.Errorf("the pod is refused for %v", err)
}
