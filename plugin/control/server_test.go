package control

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// plugin is a Plugin that has nothing.
type plugin struct{}

func (plugin) Status() Status {
	return Status{Status: sandbox.Status{Missed: []sandbox.Missed{{Pod: "default/a"}}}}
}
func (plugin) ConfigProblem() error { return errors.New("no config") }
func (plugin) Move(context.Context, sandbox.Move, string) (string, error) {
	return "", errors.New("cannot move")
}

func (plugin) Return(s sandbox.Selection) (sandbox.Returned, error) {
	return sandbox.Returned{Devices: s.Devices}, nil
}

// serve serves a state folder, until the test ends.
func serve(t *testing.T, folder *state.Folder) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, slog.New(slog.DiscardHandler), folder, plugin{}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// answered waits until an operator is answered.
func answered(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s, err := NewClient(path).Status(t.Context())
		if err == nil && len(s.Missed) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no answer: %v", err)
		}
	}
}

func lockedFolder(t *testing.T) *state.Folder {
	t.Helper()
	folder, err := state.TryLock(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// Every verb reaches the plugin, and its words come back.
func TestVerbs(t *testing.T) {
	folder := lockedFolder(t)
	serve(t, folder)
	answered(t, folder.Path())
	c := NewClient(folder.Path())
	if got, err := c.Config(t.Context()); err != nil || got.Problem != "no config" {
		t.Errorf("config: %+v, %v", got, err)
	}
	if got, err := c.Return(t.Context(), sandbox.Selection{Devices: []string{"eth1"}}); err != nil || len(got.Devices) != 1 {
		t.Errorf("return: %+v, %v", got, err)
	}
	if _, err := c.Move(t.Context(), sandbox.Move{}, os.Stdin); err == nil || err.Error() != "cannot move" {
		t.Errorf("move: %v", err)
	}
	if _, err := NewClient(t.TempDir()).Status(t.Context()); !NotRunning(err) {
		t.Errorf("nobody listens: %v", err)
	}
}

// Socket, or folder, are removed while operators are served: both are made anew.
func TestRemoved(t *testing.T) {
	folder := lockedFolder(t)
	serve(t, folder)
	answered(t, folder.Path())
	for _, path := range []string{state.ControlSocket(folder.Path()), folder.Path()} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		answered(t, folder.Path())
	}
	if !folder.Held() {
		t.Error("the folder is not locked")
	}
}

// Something that cannot be removed is where the socket belongs, until it goes.
func TestSocketInTheWay(t *testing.T) {
	folder := lockedFolder(t)
	inTheWay := filepath.Join(state.ControlSocket(folder.Path()), "full")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	serve(t, folder)
	if _, err := NewClient(folder.Path()).Status(t.Context()); err == nil {
		t.Fatal("who answers?")
	}
	if err := os.Rename(filepath.Dir(inTheWay), filepath.Join(folder.Path(), "away")); err != nil {
		t.Fatal(err)
	}
	answered(t, folder.Path())
}
