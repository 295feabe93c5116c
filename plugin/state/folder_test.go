package state_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// newFolder locks a folder, whose descriptor stays with the test's process.
func newFolder(t *testing.T) *state.Folder {
	t.Helper()
	f, err := state.TryLock(filepath.Join(t.TempDir(), "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLockIsTheProcess(t *testing.T) {
	t.Parallel()
	path := newFolder(t).Path()
	for range 5 { // nobody points to the folder any more
		runtime.GC()
	}
	if _, err := state.TryLock(path); !errors.Is(err, state.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

// cancelOnWrite ends a context at the first message of a log.
type cancelOnWrite struct {
	bytes.Buffer
	cancel func()
}

func (c *cancelOnWrite) Write(text []byte) (int, error) {
	defer c.cancel()
	return c.Buffer.Write(text)
}

func TestLockWaits(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := &cancelOnWrite{cancel: cancel}
	if _, err := state.Lock(ctx, slog.New(slog.NewTextHandler(log, nil)), f.Path()); !errors.Is(err, context.Canceled) {
		t.Errorf("told to end while it waits: %v", err)
	}
	if strings.Count(log.String(), "waiting for its end") != 1 {
		t.Errorf("log: %s", log.String())
	}
}

func TestRetake(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	if !f.Held() {
		t.Error("not held")
	}
	if err := f.Retake(); err != nil || !f.Held() {
		t.Errorf("a folder that is held: %v", err)
	}
	if err := os.RemoveAll(f.Path()); err != nil {
		t.Fatal(err)
	}
	if f.Held() {
		t.Error("held after its removal")
	}
	if err := f.Retake(); err != nil || !f.Held() {
		t.Errorf("a folder that was removed: %v", err)
	}
	if _, err := state.TryLock(f.Path()); !errors.Is(err, state.ErrLocked) {
		t.Errorf("a second writer after that: %v", err)
	}
	if err := os.RemoveAll(f.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := state.TryLock(f.Path()); err != nil {
		t.Fatal(err)
	}
	if err := f.Retake(); !errors.Is(err, state.ErrLocked) {
		t.Errorf("a folder that another one has locked: %v", err)
	}
}

func TestTryLockRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.TryLock(file); err == nil || !strings.HasPrefix(err.Error(), "state folder: mkdir "+file) {
		t.Errorf("a file: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := state.TryLock(dir); err == nil || !strings.HasPrefix(err.Error(), "state folder: open "+dir) {
		t.Errorf("a folder in place of the lock: %v", err)
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	j, err := f.OpenJournal(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(&journal.Record{Sandbox: "a", State: journal.Attaching}, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	if records, err := state.ReadJournal(f.Path()); err != nil || len(records) != 1 || records[0].Sandbox != "a" {
		t.Errorf("read: %v, %v", records, err)
	}
	if err := os.WriteFile(filepath.Join(f.Path(), "sandboxes", "b.json"), []byte("no record"), 0o600); err != nil {
		t.Fatal(err)
	}
	if j, err := f.OpenJournal(log); err != nil || len(j.All()) != 1 {
		t.Errorf("opened again: %v", err)
	}
	if !strings.Contains(text.String(), "set aside") {
		t.Errorf("log: %s", text.String())
	}
}
