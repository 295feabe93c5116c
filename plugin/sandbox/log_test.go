package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// logged records what is logged, from Info on: a line each, with the level first.
type logged struct {
	details bool         // from Debug on
	hook    func(string) // told of each line

	mu    sync.Mutex
	lines []string
}

// Enabled leaves the details out.
func (l *logged) Enabled(_ context.Context, level slog.Level) bool {
	return l.details || level >= slog.LevelInfo
}

// Handle records a line.
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s", a)
		return true
	})
	l.mu.Lock()
	l.lines = append(l.lines, b.String())
	l.mu.Unlock()
	if l.hook != nil {
		l.hook(b.String())
	}
	return nil
}

// WithAttrs leaves out the keys of a sandbox, which every line about one has.
func (l *logged) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is used by nobody.
func (l *logged) WithGroup(string) slog.Handler { return l }

// of lists the lines that begin like this.
func (l *logged) of(begin string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.HasPrefix(line, begin) {
			lines = append(lines, line)
		}
	}
	return lines
}

// told checks how often a line was logged that begins like this.
func (n *node) told(t *testing.T, times int, begin string) {
	t.Helper()
	if got := n.log.of(begin); len(got) != times {
		t.Errorf("logged %d times, want %d: %q\n%s", len(got), times, begin, strings.Join(got, "\n"))
	}
}
