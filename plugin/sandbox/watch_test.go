package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// The end of a pause process wakes the sweep, which brings the devices home
// after a second look.
func TestPauseEndsWakesTheSweep(t *testing.T) {
	n, _, pod, ns := holding(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		n.Sweep(ctx)
		close(done)
	}()
	w := newWatch(n.World, n.Table.log)
	w.follow(n.journal.All()) // as the sweep does
	ns.Leave()
	<-w.died
	plugintest.Eventually(t, "return", func() bool { _, ok := n.journal.Get(pod.ID); return !ok })
	plugintest.Eventually(t, "forgotten proofs", func() bool { return !n.unsure() })
	cancel()
	<-done
	w.close()
}

// Of all files in the folder of network namespaces, only those of pods with
// devices matter, only as long as they have them, and only their removal.
func TestRemovalOfANamespacesFile(t *testing.T) {
	n, _, _, _ := holding(t)
	folder := t.TempDir()
	mine, other := filepath.Join(folder, "cni-1"), filepath.Join(folder, "cni-2")
	for _, path := range []string{mine, other} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := newWatch(n.World, n.Table.log)
	defer w.close()
	r := *n.journal.All()[0]
	r.Netns.Path = mine
	manual := r
	manual.Sandbox, manual.Netns.Path = "manual-1", other
	w.follow([]*journal.Record{&r, &manual})
	for _, path := range []string{other, mine} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{other, mine} {
		e := awaitRemoval(t, w)
		if e.Name != want || w.matters(e) != (want == mine) {
			t.Errorf("%v matters: %v", e, w.matters(e))
		}
	}
	if w.matters(fsnotify.Event{Name: mine, Op: fsnotify.Write}) {
		t.Error("a write matters")
	}
	r.State = journal.Returning
	w.follow([]*journal.Record{&r})
	if len(w.files.WatchList()) > 0 || len(w.pauses) > 0 || len(w.paths) > 0 {
		t.Errorf("watched for nobody: %v, %v, %v", w.files.WatchList(), w.pauses, w.paths)
	}
}

func awaitRemoval(t *testing.T, w *watch) fsnotify.Event {
	t.Helper()
	for {
		select {
		case e := <-w.events():
			if e.Has(fsnotify.Remove) {
				return e
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no event")
		}
	}
}

// noisy is a watch whose log is recorded from Debug on.
func noisy(n *node) (*watch, *plugintest.Log) {
	log := &plugintest.Log{Level: slog.LevelDebug}
	return newWatch(n.World, slog.New(log)), log
}

// A pause process is watched once, and one that is not told or cannot be watched is none.
func TestPausesAreWatchedOnce(t *testing.T) {
	n, _, pod, _ := holding(t)
	w, log := noisy(n)
	defer w.close()
	for _, tc := range []struct {
		pause, requests int
	}{{0, 0}, {5, 1}, {5, 0}} {
		r := *n.recordOf(t, pod)
		r.Netns.Pause = tc.pause
		n.Fail(0, netmovetest.Never)
		if w.follow([]*journal.Record{&r}); n.Calls() != tc.requests {
			t.Errorf("%d requests for pid %d, want %d", n.Calls(), tc.pause, tc.requests)
		}
	}
	stopped := 0
	w.pauses[pod.ID] = func() { stopped++ }
	w.follow(nil)
	w.follow(nil)
	closed := newWatch(n.World, n.Table.log)
	closed.pauses[pod.ID] = func() { stopped++ }
	closed.close()
	if stopped != 2 {
		t.Errorf("two watches were stopped %d times", stopped)
	}
	if got := log.Of("DEBUG the pause process is not watched"); len(got) > 0 {
		t.Errorf("logged %q", got)
	}
	n.FailFrom(1)
	for range 3 {
		w.follow(n.journal.All())
	}
	if got := log.Of("DEBUG the pause process is not watched"); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

// A folder that is not there is told once; one that goes is no problem; one that nobody needs
// any more is not watched, others are.
func TestFoldersAreWatchedOnce(t *testing.T) {
	n, _, pod, _ := holding(t)
	w, log := noisy(n)
	defer w.close()
	there, gone := t.TempDir(), filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	var records []*journal.Record
	for i, path := range []string{filepath.Join(there, "a"), filepath.Join(gone, "b"), "/nowhere/c"} {
		r := *n.recordOf(t, pod)
		r.Sandbox, r.Netns.Path = string(rune('a'+i)), path
		records = append(records, &r)
	}
	for range 3 {
		w.follow(records)
	}
	if got := w.files.WatchList(); len(got) != 2 {
		t.Errorf("watched: %q", got)
	}
	if got := log.Of("DEBUG the folder of network namespaces is not watched folder=/nowhere"); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	awaitRemoval(t, w)
	for range 2 {
		w.follow(nil)
		w.follow(records[:1])
		if got := w.files.WatchList(); len(got) != 1 || got[0] != there {
			t.Errorf("watched: %q", got)
		}
	}
	w.follow(nil)
	if got := w.files.WatchList(); len(got) != 0 {
		t.Errorf("watched: %q", got)
	}
	if got := log.Of(""); len(got) != 1 {
		t.Errorf("logged %q", got)
	}
}

// withoutFiles is a watch where no descriptor is left for inotify.
func withoutFiles(t *testing.T, n *node) (*watch, *plugintest.Log) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	w, log := noisy(n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	return w, log
}

// Without inotify pods are watched by their pause processes.
func TestWithoutInotify(t *testing.T) {
	n, _, _, ns := holding(t)
	w, log := withoutFiles(t, n)
	w.follow(n.journal.All())
	if w.events() != nil || w.overflows() != nil {
		t.Error("there are events")
	}
	ns.Leave()
	<-w.died
	w.close()
	if got := log.Of(""); len(got) != 1 || !strings.HasPrefix(got[0], "WARN ends of pods that no hook tells are found a second later") {
		t.Errorf("logged %q", got)
	}
}

// The sweep looks when the file of a pod's namespace is removed, when events are lost, when the
// list is new, and when a second has passed; not for other files, and not after its end.
func TestAwait(t *testing.T) {
	n, _, pod, _ := holding(t)
	folder := t.TempDir()
	mine, other := filepath.Join(folder, "mine"), filepath.Join(folder, "other")
	for _, path := range []string{mine, other} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := *n.recordOf(t, pod)
	r.Netns.Path = mine
	if err := n.journal.Put(&r); err != nil {
		t.Fatal(err)
	}
	w, _ := noisy(n)
	defer w.close()
	ctx, cancel := withMinute(t)
	tick := make(chan time.Time, 1)
	tick <- time.Now()
	if !n.await(ctx, w, tick) || len(w.files.WatchList()) != 1 {
		t.Errorf("watched: %q", w.files.WatchList())
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	for what, happens := range map[string]func(){
		"a tick":           func() { tick <- time.Now() },
		"a new list":       func() { n.list([]*testPod{pod}) },
		"a death":          w.now,
		"an overflow":      func() { w.files.Errors <- fsnotify.ErrEventOverflow },
		"a file that goes": func() { _ = os.Remove(mine) },
	} {
		go happens()
		if !n.await(ctx, w, tick) {
			t.Errorf("%s: the end", what)
		}
	}
	told := make(chan struct{})
	go func() {
		select {
		case w.files.Events <- fsnotify.Event{Name: other, Op: fsnotify.Remove}:
		case <-ctx.Done():
		}
		cancel()
		close(told)
	}()
	if n.await(ctx, w, tick) {
		t.Error("another file matters, or it is not the end")
	}
	cancel()
	<-told
}

// Many reasons to look are one.
func TestManyDeathsAreOneLook(t *testing.T) {
	n := newNode(t, allowAll)
	w, log := noisy(n)
	for range 3 {
		w.now()
	}
	if got := len(w.died); got != 1 {
		t.Errorf("%d looks", got)
	}
	w.close()
	if got := log.Of(""); len(got) > 0 {
		t.Errorf("logged %q", got)
	}
	if err := w.files.Add(t.TempDir()); !errors.Is(err, fsnotify.ErrClosed) {
		t.Errorf("a watch that is closed: %v", err)
	}
}
