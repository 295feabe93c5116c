package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// Invariant: the lock of the state folder is the process's until it is gone. A
// request of an operator is under way when run ends, and its work goes on.
func TestRunKeepsTheLock(t *testing.T) {
	host, dir := nstest.New(t), t.TempDir()
	args := []string{"--state-dir", dir, "--config", filepath.Join(dir, "none.yaml"), "--host-netns", host.Path()}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append([]string{"run", "--nri-socket", filepath.Join(dir, "none.sock"), "--listen", ""}, args...), io.Discard, io.Discard)
	}()
	client := control.NewClient(dir)
	plugintest.Eventually(t, "the plugin answers", func() bool {
		_, err := client.Status(t.Context())
		return err == nil
	})

	// Who opens a FIFO waits for its writer.
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	target, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	asked := make(chan error, 1)
	go func() {
		_, err := client.Move(t.Context(), sandbox.Move{Device: "lo", Netns: fifo}, target)
		asked <- err
	}()
	plugintest.Eventually(t, "the request is under way", func() bool {
		w, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			w.Close()
		}
		return err == nil
	})

	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := state.TryLock(dir); !errors.Is(err, state.ErrLocked) {
		t.Errorf("run has ended and its process is there: another writer gets %v", err)
	}
	w, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := <-asked; err == nil {
		t.Error("moved into a FIFO")
	}
}

// What an operator's command has begun goes on until its process is gone, too.
func TestReturnKeepsTheLock(t *testing.T) {
	host, dir := nstest.New(t), t.TempDir()
	err := run(t.Context(), []string{
		"return", "--all", "--state-dir", dir, "--config", filepath.Join(dir, "none.yaml"), "--host-netns", host.Path(),
	}, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.TryLock(dir); !errors.Is(err, state.ErrLocked) {
		t.Errorf("another writer gets %v", err)
	}
}
