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

// stateLock is the lock of the state folder, which goes with the process,
// whatever ends it (flock(2)).
type stateLock struct {
	state string
	file  *os.File
}

func (l *stateLock) path() string { return filepath.Join(l.state, "lock") }

func (l *stateLock) unlock() { l.file.Close() }

// held reports whether the lock is still the folder's, which somebody may have
// removed.
func (l *stateLock) held() bool {
	there, err := os.Stat(l.path())
	if err != nil {
		return false
	}
	mine, err := l.file.Stat()
	return err == nil && os.SameFile(there, mine)
}

// retake locks the folder again that was removed and made anew. The error is
// errLocked when somebody else has done so.
func (l *stateLock) retake() error {
	if l.held() {
		return nil
	}
	again, err := tryLockState(l.state)
	if err != nil {
		return err
	}
	l.unlock()
	l.file = again.file
	return nil
}

// lockState makes the state folder and waits until this process is the only
// one that writes it. It returns nil if it was told to end before.
func lockState(ctx context.Context, log *slog.Logger, state string) (*stateLock, error) {
	for waiting := false; ; waiting = true {
		lock, err := tryLockState(state)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		if !waiting {
			log.Warn("another process works with the state folder, waiting for its end", "state", state)
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// errLocked means that another process works with the state folder.
var errLocked = errors.New("another process works with the state folder")

// tryLockState makes the state folder and locks it, or returns errLocked.
func tryLockState(state string) (*stateLock, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := os.Chmod(state, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	l := &stateLock{state: state}
	var err error
	if l.file, err = os.OpenFile(l.path(), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	err = syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = errLocked
	case err != nil:
		err = fmt.Errorf("lock the state folder: %w", err)
	case !l.held(): // it was removed between the two
		err = errLocked
	default:
		return l, nil
	}
	l.unlock()
	return nil, err
}
