package plugin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// recordLog has the plugin's own log recorded from now on.
func (n *node) recordLog() *plugintest.Log {
	l := &plugintest.Log{Level: slog.LevelDebug}
	n.Plugin.log = slog.New(l)
	return l
}

// A refusal is logged once, with the reason; what goes well is not.
func TestRefusalsAreLogged(t *testing.T) {
	n := newNode(t, allowAll)
	log := n.recordLog()
	pod := n.pod("a", "- name: eth1")
	if err := errors.Join(n.RunPodSandbox(t.Context(), pod), n.create(t, pod), n.StopPodSandbox(t.Context(), pod), n.RemovePodSandbox(t.Context(), pod)); err != nil {
		t.Fatal(err)
	}
	log.Told(t, 0, "")
	bad := n.pod("b", "- name: eth7")
	if n.RunPodSandbox(t.Context(), bad) == nil || n.create(t, bad) == nil {
		t.Error("not refused")
	}
	log.Told(t, 1, `WARN pod refused err=device "eth7" not found on this node`)
	log.Told(t, 1, `WARN container refused err=device "eth7" not found on this node`)
	log.Told(t, 2, "")
}

// A return that outlasts the hook is told, and is no error to the runtime.
func TestSlowReturnIsLogged(t *testing.T) {
	n := newNode(t, allowAll)
	log := n.recordLog()
	pod := n.pod("a", "- name: eth1")
	before := n.World.String()
	if err := n.RunPodSandbox(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	unblock := n.Block()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if err := n.StopPodSandbox(ctx, pod); err != nil {
		t.Error(err)
	}
	log.Told(t, 1, "WARN the return of the pod's devices takes longer than the runtime waits, and goes on")
	unblock()
	n.working.Wait()
	n.asBefore(t, before)
}

// What the NRI library says has a level of ours.
func TestLogOfTheLibrary(t *testing.T) {
	log := &plugintest.Log{Level: slog.LevelDebug}
	l := stubLogger{slog.New(log)}
	l.Debugf(t.Context(), "%d", 1)
	l.Infof(t.Context(), "%d", 2)
	l.Warnf(t.Context(), "%d", 3)
	l.Errorf(t.Context(), "%d", 4)
	if got, want := strings.Join(log.Of(""), ", "), "DEBUG nri: 1, DEBUG nri: 2, WARN nri: 3, ERROR nri: 4"; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// While there is no runtime, that is told once, however often it is tried, and again when the
// reason is another one. The end waits for the work behind hooks.
func TestNoRuntimeIsToldOnce(t *testing.T) {
	n := newNode(t, allowAll)
	log := n.recordLog()
	socket := filepath.Join(t.TempDir(), "nri.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx, Registration{Socket: socket, Name: "nri-netdev", Index: "10"}) }()
	const absent = "WARN no connection to the runtime, trying again socket="
	plugintest.Eventually(t, "complaint", func() bool { return len(log.Of(absent)) == 1 })
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	lasted := time.Duration(0)
	for range 4 { // connections that end at once
		began := time.Now()
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		lasted = max(lasted, time.Since(began)) // with the pause before it
	}
	got := log.Of(absent)
	again := len(slices.Compact(slices.Clone(got))) != len(got)
	if again && lasted < lastRetry || !strings.Contains(got[0], "no such file or directory") {
		t.Errorf("logged %q", got)
	}
	l.Close()
	finish := make(chan struct{})
	n.working.Go(func() { <-finish })
	cancel()
	select {
	case err := <-ended:
		t.Errorf("the end does not wait for the work: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	log.Told(t, 0, "WARN work in progress is left to the next start")
}

// A runtime that stays away is tried for ever more seldom, and at last about once a second. The
// clock is the test's.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, allowAll)
		socket := filepath.Join(t.TempDir(), "nri.sock")
		var tries []time.Time
		n.recordLog().Hook = func(string) { // at each try, since its reason is another one
			tries = append(tries, time.Now())
			if os.Remove(socket) != nil {
				_ = os.WriteFile(socket, nil, 0o600)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := n.Serve(ctx, Registration{Socket: socket}); err != nil {
			t.Error(err)
		}
		if len(tries) < 60 {
			t.Errorf("%d tries in a minute", len(tries))
		}
		longest := firstRetry
		for i, try := range tries[1:] {
			if pause := try.Sub(tries[i]); pause < longest/2 || pause >= longest {
				t.Errorf("pause %d is %v, want one between %v and %v", i+1, pause, longest/2, longest)
			}
			longest = min(2*longest, lastRetry)
		}
	})
}

// A process that the runtime has launched ends with its connection, and says why, unless it is
// told to end.
func TestLaunchedEndsWithTheConnection(t *testing.T) {
	n := newNode(t, allowAll)
	t.Setenv(api.PluginSocketEnvVar, "not a number")
	if err := n.Serve(t.Context(), Registration{}); err == nil || !strings.Contains(err.Error(), api.PluginSocketEnvVar+": ") {
		t.Errorf("error is %v", err)
	}
	told, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Serve(told, Registration{}); err != nil {
		t.Errorf("told to end: %v", err)
	}
	runtime, fd := socketPair(t)
	runtime.Close()
	t.Setenv(api.PluginSocketEnvVar, strconv.Itoa(fd))
	t.Setenv(api.PluginNameEnvVar, "other")
	t.Setenv(api.PluginIdxEnvVar, "07")
	if err := n.Serve(t.Context(), Registration{}); err == nil {
		t.Error("the runtime has closed the connection, and that is no error")
	}
}
