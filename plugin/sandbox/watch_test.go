package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
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
	eventually(t, "return", func() bool { _, ok := n.journal.Get(pod.ID); return !ok })
	eventually(t, "forgotten proofs", func() bool { return !n.unsure() })
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
