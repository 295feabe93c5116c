package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	firstListenRetry = 100 * time.Millisecond
	lastListenRetry  = 2 * time.Second
)

// serveProbes answers probes until ctx ends. It logs a listener that fails and tries
// again: pods do not depend on probes, so the plugin must not end.
func serveProbes(ctx context.Context, log *slog.Logger, addr string, h http.Handler) {
	last := ""
	for retry := firstListenRetry; ; retry = min(2*retry, lastListenRetry) {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err == nil {
			log.Debug("answering probes", "addr", l.Addr())
			last, retry = "", firstListenRetry
			err = serveHTTP(ctx, log, l, h)
		}
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != last {
			log.Error("no probes, trying again", "addr", addr, "err", err)
			last = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
	}
}

// serveHTTP serves on one listener, until ctx ends or the listener fails.
func serveHTTP(ctx context.Context, log *slog.Logger, l net.Listener, h http.Handler) error {
	// The plugin needs descriptors for pods' namespaces: no client may use them up.
	const connections, patience = 32, 5 * time.Second
	s := &http.Server{
		Handler: h, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			log.Error("close connections", "addr", l.Addr(), "err", err)
		}
	})
	defer stop()
	return s.Serve(netutil.LimitListener(l, connections))
}
