package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// lookEvery is the time between two looks whether somebody has removed the
// socket or the lock.
const lookEvery = time.Second

// Serve answers operators until ctx ends, and keeps lock and socket in place
// when somebody removes them. The error is that another process has locked the
// folder then: there must not be two writers.
func Serve(ctx context.Context, log *slog.Logger, folder *state.Folder, p Plugin) error {
	for {
		if removed := serveUntilRemoved(ctx, log, folder, Handler(p, log)); !removed {
			return nil
		}
		log.Error("somebody has removed files of the state folder: they are made anew", "state", folder.Path())
		if err := folder.Retake(); err != nil {
			return fmt.Errorf("lock the state folder again: %w", err)
		}
	}
}

// serveUntilRemoved serves one listener. It reports whether somebody removed
// files before ctx ended.
func serveUntilRemoved(ctx context.Context, log *slog.Logger, folder *state.Folder, h http.Handler) bool {
	l := listen(ctx, log, state.ControlSocket(folder.Path()))
	if l == nil {
		return awaitRemoval(ctx, folder, false)
	}
	s := &http.Server{Handler: h, ConnContext: WithPeer, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("operators are no longer served", "err", err)
		}
	}()
	removed := awaitRemoval(ctx, folder, true)
	if err := s.Close(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("close the control socket", "err", err)
	}
	<-ended
	return removed
}

// awaitRemoval waits until the lock is gone, or the socket where there is one. It
// reports whether that was so before ctx ended.
func awaitRemoval(ctx context.Context, folder *state.Folder, socket bool) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		_, err := os.Lstat(state.ControlSocket(folder.Path()))
		if socket && errors.Is(err, fs.ErrNotExist) || !folder.Held() {
			return true
		}
	}
}

// listen listens at path. Pods do not depend on it: if it cannot be had, that is
// logged, and there is none.
func listen(ctx context.Context, log *slog.Logger, path string) net.Listener {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Error("remove the control socket that an earlier process left", "err", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		log.Error("status, move and return will not find the running plugin", "err", err)
		return nil
	}
	return l
}
