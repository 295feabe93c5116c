package main

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

	"github.com/nri-netdev/nri-netdev/plugin"
)

// tendState serves the commands of operators, and keeps lock and control socket
// in place when somebody removes the state folder. The error is that somebody
// else has locked it then: there must not be two writers.
func tendState(ctx context.Context, log *slog.Logger, lock *stateLock, p *plugin.Plugin) error {
	for {
		serving, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		l := listenControl(ctx, log, lock.state)
		go func() {
			defer close(ended)
			if l != nil {
				serveUntil(serving, log, l, &http.Server{Handler: p.Control(), ConnContext: plugin.WithPeer})
			}
		}()
		removed := awaitRemoval(ctx, lock, l != nil)
		stop()
		<-ended
		if !removed {
			return nil
		}
		log.Error("somebody has removed files of the state folder: they are made anew", "state", lock.state)
		if err := lock.retake(); err != nil {
			return fmt.Errorf("lock the state folder again: %w", err)
		}
	}
}

// awaitRemoval waits until the lock is gone, or the socket where there is one. It
// reports whether that was so before ctx ended.
func awaitRemoval(ctx context.Context, lock *stateLock, socket bool) bool {
	const every = time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		_, err := os.Lstat(plugin.ControlSocket(lock.state))
		if socket && errors.Is(err, fs.ErrNotExist) || !lock.held() {
			return true
		}
	}
}

// listenControl listens for the commands of operators. Pods do not depend on it,
// so it is nil, and logged, if it cannot be had.
func listenControl(ctx context.Context, log *slog.Logger, state string) net.Listener {
	path := plugin.ControlSocket(state)
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
