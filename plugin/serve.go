package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/config"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second

	// configureWithin bounds the time from the connection to the runtime's
	// Configure request; its own limit for a registration is 5 s. A runtime
	// that dies in between would leave the stub waiting for good.
	configureWithin = 10 * time.Second

	// lastAnswer is the time that the NRI library has to write a hook's answer
	// before the connection is closed.
	lastAnswer = 50 * time.Millisecond

	// finishWithin bounds the wait for work in progress when the process is
	// told to end. What is not done by then, recovery does.
	finishWithin = 5 * time.Second
)

// Registration is how the plugin presents itself to the runtime. A plugin
// that the runtime launches gets all of it from the runtime instead.
type Registration struct {
	Socket string // NRI socket of the runtime
	Name   string // [A-Za-z0-9_.+-]
	Index  string // two digits: the plugin's place among others
}

// Launched reports whether the runtime has launched the process, which then
// has its connection and its identity from the environment.
func Launched() bool { return os.Getenv(api.PluginSocketEnvVar) != "" }

// Serve registers with the runtime and handles its events until ctx ends. It
// connects anew whenever the connection is lost; one that was launched by the
// runtime ends with it. What pods hold, they keep.
func (p *Plugin) Serve(ctx context.Context, r Registration) error {
	defer p.finish()
	var last string
	retry := firstRetry
	for {
		began := time.Now()
		err := p.serveOnce(ctx, r)
		switch {
		case ctx.Err() != nil:
			return nil
		case Launched():
			return err
		case time.Since(began) > lastRetry: // the connection was a good one
			retry, last = firstRetry, ""
		}
		if text := fmt.Sprint(err); text != last {
			p.log.Warn("no connection to the runtime, trying again", "socket", r.Socket, "err", err)
			last = text
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry/2 + rand.N(retry/2)):
		}
		retry = min(2*retry, lastRetry)
	}
}

// answerLast waits for the answers of hooks that have begun, and lets none begin
// any more: a runtime whose connection ends in the middle of a request may go on
// with the pod without its devices.
func (p *Plugin) answerLast() {
	p.hooks.Lock()
	time.Sleep(lastAnswer) // no event tells that it is written
}

// finish waits for work that goes on behind hooks.
func (p *Plugin) finish() {
	done := make(chan struct{})
	go func() {
		p.working.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(finishWithin):
		p.log.Warn("work in progress is left to the next start")
	}
}

// connection is one to the runtime, and the plugin behind it.
type connection struct {
	*Plugin
	stub       stub.Stub
	policy     *api.FailurePolicy // the stub reads it after Configure
	configured chan struct{}
}

// Configure takes the node config that a runtime hands to plugins it launches
// itself; an external plugin gets "". The events are those of the hooks.
func (s *connection) Configure(_ context.Context, text, runtime, version string) (api.EventMask, error) {
	if text != "" {
		c, err := config.Parse([]byte(text))
		if err != nil {
			s.log.Error("the node config that the runtime handed over is refused", "err", err)
			return 0, err
		}
		s.handedOver.Store(true)
		s.config.Store(c)
	}
	s.setPolicy()
	s.timeout.Store(int64(s.stub.RequestTimeout()))
	s.runtime.Store(&Runtime{Name: runtime, Version: version, NRI: s.stub.RuntimeNRIVersion(), RequestTimeout: s.stub.RequestTimeout().String()})
	s.log.Info("registered", "runtime", runtime, "version", version, "nri", s.stub.RuntimeNRIVersion(),
		"requestTimeout", s.stub.RequestTimeout())
	s.ready.Store(true)
	close(s.configured)
	return 0, nil
}

// setPolicy registers the config's failure policy. A runtime that goes on with pods
// has to drop the plugin: only then does it tell, on the next connection, what
// runs without devices, and a late request is known as such.
func (s *connection) setPolicy() {
	c := s.config.Load().FailurePolicy
	s.policy.FailRequest = c.FailRequest
	s.policy.KeepConnected = c.KeepConnected && c.FailRequest
}

// serveOnce serves one connection, until it is lost.
func (p *Plugin) serveOnce(ctx context.Context, r Registration) error {
	defer p.ready.Store(false)
	s := &connection{Plugin: p, policy: &api.FailurePolicy{}, configured: make(chan struct{})}
	conn, opts, err := s.connect(ctx, r)
	if err != nil {
		return err
	}
	if s.stub, err = stub.New(s, opts...); err != nil {
		return err
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		p.answerLast()
		cancel()
	})()
	ended := make(chan error, 1)
	go func() { ended <- s.stub.Run(serving) }()
	select {
	case err := <-ended:
		return lost(err)
	case <-s.configured:
		return lost(<-ended)
	case <-time.After(configureWithin):
		if conn != nil {
			err = conn.Close()
		}
		return errors.Join(fmt.Errorf("the runtime did not configure the plugin within %v", configureWithin), err)
	}
}

func lost(err error) error {
	if err == nil {
		return errors.New("connection closed")
	}
	return err
}

// connect gives the options for the stub, and the connection unless the
// runtime made it.
func (s *connection) connect(ctx context.Context, r Registration) (net.Conn, []stub.Option, error) {
	opts := []stub.Option{
		stub.WithLogger(stubLogger{s.log}),
		// The stub ends the process when the connection is lost, unless told
		// what to do.
		stub.WithOnClose(func() {}),
		stub.WithFailurePolicy(s.policy),
	}
	if Launched() {
		fd, err := strconv.Atoi(os.Getenv(api.PluginSocketEnvVar))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", api.PluginSocketEnvVar, err)
		}
		return nil, opts, s.seePeer(fd)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", r.Socket)
	if err != nil {
		return nil, nil, err
	}
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err == nil {
		var perr error
		err = raw.Control(func(fd uintptr) { perr = s.seePeer(int(fd)) })
		err = errors.Join(err, perr)
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, append(opts, stub.WithPluginName(r.Name), stub.WithPluginIdx(r.Index), stub.WithConnection(conn)), nil
}

// seePeer finds out whether the process at the other end is visible.
func (p *Plugin) seePeer(fd int) error {
	peer, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		return fmt.Errorf("SO_PEERCRED: %w", err)
	}
	p.ends.connected(peer.Pid)
	return nil
}

// stubLogger passes on what the NRI library says. Most of it is detail.
type stubLogger struct{ log *slog.Logger }

func (l stubLogger) Debugf(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "nri: "+fmt.Sprintf(format, args...))
}

func (l stubLogger) Infof(ctx context.Context, format string, args ...any) {
	l.log.DebugContext(ctx, "nri: "+fmt.Sprintf(format, args...))
}

func (l stubLogger) Warnf(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, "nri: "+fmt.Sprintf(format, args...))
}

func (l stubLogger) Errorf(ctx context.Context, format string, args ...any) {
	l.log.ErrorContext(ctx, "nri: "+fmt.Sprintf(format, args...))
}
