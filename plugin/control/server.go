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

// lookEvery is how often Serve looks whether somebody has removed the socket or the lock.
const lookEvery = time.Second

// errRemoved ends serving on a socket that clients cannot find any more.
var errRemoved = errors.New("somebody has removed files of the state folder: they are made anew")

// Serve answers operators until ctx ends, and makes lock and socket anew when somebody
// removes them. Pods do not depend on the socket, so Serve logs a failure and tries again.
// It returns an error if another process has locked the folder: there must not be two
// writers.
func Serve(ctx context.Context, log *slog.Logger, folder *state.Folder, p Plugin) error {
	last := ""
	for ctx.Err() == nil {
		err := serveOnce(ctx, log, folder, Handler(p, log))
		if err == nil {
			last = ""
			continue // ctx has ended
		}
		if text := err.Error(); text != last || errors.Is(err, errRemoved) {
			log.Error("status, move and return do not find the running plugin, trying again", "state", folder.Path(), "err", err)
			last = text
		}
		if err := folder.Retake(); err != nil {
			return fmt.Errorf("lock the state folder again: %w", err)
		}
		if !errors.Is(err, errRemoved) {
			pause(ctx)
		}
	}
	return nil
}

// pause waits for lookEvery, or until ctx ends.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(lookEvery):
	}
}

// serveOnce serves on one listener until ctx ends or serving fails.
func serveOnce(ctx context.Context, log *slog.Logger, folder *state.Folder, h http.Handler) error {
	l, err := listen(ctx, state.ControlSocket(folder.Path()))
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ConnContext: WithPeer, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	err = awaitRemoval(ctx, folder, ended)
	if cerr := s.Close(); cerr != nil && !errors.Is(cerr, fs.ErrNotExist) {
		log.Error("close the control socket", "err", cerr)
	}
	return err
}

// awaitRemoval waits until ctx ends, the server ends, or lock or socket are gone.
func awaitRemoval(ctx context.Context, folder *state.Folder, ended <-chan error) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case <-tick.C:
		}
		_, err := os.Lstat(state.ControlSocket(folder.Path()))
		if errors.Is(err, fs.ErrNotExist) || !folder.Held() {
			return errRemoved
		}
	}
}

// listen listens at path, where an earlier process may have left a socket.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "unix", path)
}
