package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockState makes the state folder and waits until this process is the only
// one that writes it. The lock goes with the process, whatever ends it
// (flock(2)).
func lockState(ctx context.Context, log *slog.Logger, state string) (unlock func(), err error) {
	for waiting := false; ; waiting = true {
		unlock, err := tryLockState(state)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		if !waiting {
			log.Warn("another process works with the state folder, waiting for its end", "state", state)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the state folder: %w", ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// errLocked means that another process works with the state folder.
var errLocked = errors.New("another process works with the state folder")

// tryLockState makes the state folder and locks it, or returns errLocked.
func tryLockState(state string) (unlock func(), err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := os.Chmod(state, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(state, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(errLocked, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the state folder: %w", err), f.Close())
	}
	return func() { f.Close() }, nil
}
