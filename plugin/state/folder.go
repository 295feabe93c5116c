package state

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

// lockRetry is the time between two tries to lock the folder.
const lockRetry = 200 * time.Millisecond

// ErrLocked means that another process works with the state folder.
var ErrLocked = errors.New("another process works with the state folder")

// Folder is the state folder while this process is the only one that writes it.
type Folder struct {
	path string

	// lock is the descriptor of the lock file. It is no *os.File: the garbage collector
	// would close that, and so unlock the folder.
	lock int
}

// Lock makes the folder and waits until this process is the only one that writes it. It
// returns the error of ctx if ctx ends before.
func Lock(ctx context.Context, log *slog.Logger, path string) (*Folder, error) {
	for waiting := false; ; waiting = true {
		f, err := TryLock(path)
		if !errors.Is(err, ErrLocked) {
			return f, err
		}
		if !waiting {
			log.Warn("another process works with the state folder, waiting for its end", "state", path)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockRetry):
		}
	}
}

// TryLock makes the folder and locks it, or returns ErrLocked.
func TryLock(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	f := &Folder{path: path}
	var err error
	if f.lock, err = syscall.Open(f.lockPath(), syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600); err != nil {
		return nil, fmt.Errorf("state folder: %w", &os.PathError{Op: "open", Path: f.lockPath(), Err: err})
	}
	if err := f.flock(); err != nil {
		return nil, errors.Join(err, syscall.Close(f.lock))
	}
	return f, nil
}

func (f *Folder) flock() error {
	err := syscall.Flock(f.lock, syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrLocked
	case err != nil:
		return fmt.Errorf("lock the state folder: %w", err)
	case !f.Held(): // somebody removed the file before it was locked
		return ErrLocked
	}
	return nil
}

// Path returns where the folder is.
func (f *Folder) Path() string { return f.path }

func (f *Folder) lockPath() string { return filepath.Join(f.path, "lock") }

// Held reports whether the locked file is still the folder's lock file. Somebody may have
// removed it.
func (f *Folder) Held() bool {
	var there, mine syscall.Stat_t
	if syscall.Stat(f.lockPath(), &there) != nil || syscall.Fstat(f.lock, &mine) != nil {
		return false
	}
	return there.Dev == mine.Dev && there.Ino == mine.Ino
}

// Retake makes and locks the folder again if somebody has removed it. It returns ErrLocked
// if another process was faster.
func (f *Folder) Retake() error {
	if f.Held() {
		return nil
	}
	again, err := TryLock(f.path)
	if err != nil {
		return err
	}
	removed := f.lock
	f.lock = again.lock
	return syscall.Close(removed)
}

// ControlSocket returns where the writer of the folder at path listens for operators. Only
// root may enter the folder.
func ControlSocket(path string) string { return filepath.Join(path, "control.sock") }
