package plugintest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// Log records what is logged: a line each, with the level first. The zero value records
// from Info on.
type Log struct {
	Level slog.Level
	Hook  func(string) // called with each line

	mu    sync.Mutex
	lines []string
}

// Enabled leaves out what is below the level.
func (l *Log) Enabled(_ context.Context, level slog.Level) bool { return level >= l.Level }

// Handle records a line.
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s", a)
		return true
	})
	l.mu.Lock()
	l.lines = append(l.lines, b.String())
	l.mu.Unlock()
	if l.Hook != nil {
		l.Hook(b.String())
	}
	return nil
}

// WithAttrs leaves out the keys of a sandbox, which every line about one has.
func (l *Log) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is used by nobody.
func (l *Log) WithGroup(string) slog.Handler { return l }

// Of lists the lines that begin like this.
func (l *Log) Of(begin string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.HasPrefix(line, begin) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Told checks how often a line was logged that begins like this.
func (l *Log) Told(t testing.TB, times int, begin string) {
	t.Helper()
	if got := l.Of(begin); len(got) != times {
		t.Errorf("logged %d times, want %d: %q\n%s", len(got), times, begin, strings.Join(got, "\n"))
	}
}
