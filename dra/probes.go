package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const listenAgain = time.Second

// handler answers probes: /healthz says that the process lives, /readyz that kubelet and plugin
// can reach it; /metrics is for Prometheus.
func handler(ready func() error, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// serveProbes answers probes until ctx ends. It logs a listener that fails and tries again: pods do
// not depend on probes, so the driver must not end.
func serveProbes(ctx context.Context, log *slog.Logger, addr string, h http.Handler) {
	last := ""
	for {
		err := serveHTTP(ctx, log, addr, h)
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
		case <-time.After(listenAgain):
		}
	}
}

// serveHTTP serves until ctx ends or the listener fails.
func serveHTTP(ctx context.Context, log *slog.Logger, addr string, h http.Handler) error {
	const patience = 5 * time.Second
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	s := &http.Server{
		Handler: h, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // the listener goes with it
	defer stop()
	return s.Serve(l)
}
