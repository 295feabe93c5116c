package sandbox

import (
	"log/slog"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// Sandbox is a pod's sandbox as the runtime describes it.
type Sandbox struct {
	ID  string
	Pod journal.Pod

	// NetnsPath is the path of the pod's network namespace; "" on the host network, and
	// after the sandbox has stopped.
	NetnsPath string

	Pause   int    // pid of the pause process; 0 is not told
	Handler string // runtime handler; "" is the runtime's default
}

// asker returns the pod as the node config judges it.
func (s Sandbox) asker() config.Pod {
	return config.Pod{Namespace: s.Pod.Namespace, Name: s.Pod.Name, RuntimeHandler: s.Handler}
}

// Log adds the keys of the sandbox to a logger.
func (s Sandbox) Log(log *slog.Logger) *slog.Logger {
	return log.With("pod", s.Pod.String(), "uid", s.Pod.UID, "sandbox", s.ID)
}

// recordLog adds the keys of the record's sandbox to a logger.
func recordLog(log *slog.Logger, r *journal.Record) *slog.Logger {
	return Sandbox{ID: r.Sandbox, Pod: r.Pod}.Log(log)
}
