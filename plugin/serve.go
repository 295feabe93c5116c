package plugin

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/containerd/nri/pkg/api"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second

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

// Launched reports whether the runtime has launched the process. The environment then
// has the connection and the plugin's name and index.
func Launched() bool { return os.Getenv(api.PluginSocketEnvVar) != "" }

// Serve registers with the runtime and handles its events until ctx ends. It connects
// again when the connection is lost; a plugin that the runtime launched ends instead.
// Pods keep their devices.
func (p *Plugin) Serve(ctx context.Context, r Registration) error {
	defer p.finish()
	return p.reconnect(ctx, r.Socket, func() error { return p.connect(ctx, r) })
}

// reconnect connects again and again, after pauses that grow while no connection lasts.
func (p *Plugin) reconnect(ctx context.Context, socket string, connect func() error) error {
	var last string
	retry := firstRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := connect()
		switch {
		case ctx.Err() != nil:
			continue
		case Launched():
			return err
		case time.Since(began) > lastRetry: // the connection was a good one
			retry, last = firstRetry, ""
		}
		if text := fmt.Sprint(err); text != last {
			p.log.Warn("no connection to the runtime, trying again", "socket", socket, "err", err)
			last = text
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry/2 + rand.N(retry/2)):
		}
		retry = min(2*retry, lastRetry)
	}
	return nil
}

// answerLast waits for the answers of hooks that have begun, and lets no other hook
// begin. A runtime whose connection ends during a request may start the pod without its
// devices.
func (p *Plugin) answerLast() {
	p.hooks.Lock()
	time.Sleep(lastAnswer) // no event tells that the answer is written
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
