package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// logFile keeps what a program prints.
type logFile struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Logs are the last lines that each program has logged.
func (c *Cluster) Logs() string {
	const most = 40
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.logs)) {
		lines := strings.Split(c.logs[name].String(), "\n")
		fmt.Fprintf(&b, "== %s\n%s\n", name, strings.Join(lines[max(0, len(lines)-most):], "\n"))
	}
	return b.String()
}
