package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// kernelPatience is how long a request to the kernel may take before it is reported.
const kernelPatience = 10 * time.Second

// linux returns the running kernel. It logs a request that does not end and waits for it.
// To give up would not help: a process ends only when its threads leave the kernel, and
// keeps the state folder locked until then.
func linux(log *slog.Logger) kernel.Linux {
	return kernel.Linux{
		Patience: kernelPatience,
		Stuck: func(what string) {
			log.Error("the kernel does not answer: something holds its lock of network devices", "request", what, "waited", kernelPatience)
		},
		Unstuck: func(what string, waited time.Duration) {
			log.Info("the kernel has answered", "request", what, "waited", waited)
		},
	}
}

// openJournal opens the journal of a locked state folder.
func openJournal(log *slog.Logger, folder *state.Folder) (*journal.Journal, error) {
	j, err := folder.OpenJournal(log)
	if errors.Is(err, journal.ErrVersion) {
		err = withHint(err, "run the newer program again, or have it return --all before you go back")
	}
	return j, err
}
