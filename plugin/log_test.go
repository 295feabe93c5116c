package plugin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

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
