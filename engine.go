package main

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// kernelPatience is how long a request to the kernel may take.
const kernelPatience = 10 * time.Second

// linux is the running kernel. A request that does not end is the end of the
// process: it blocks the node, and a fresh process can recover.
func linux(log *slog.Logger) kernel.Linux {
	return kernel.Linux{Patience: kernelPatience, Stuck: func(what string) {
		log.Error("the kernel does not answer: ending, so that a fresh process takes over", "request", what, "waited", kernelPatience)
		os.Exit(1)
	}}
}

// openJournal opens the journal of a locked state folder.
func openJournal(log *slog.Logger, folder *state.Folder) (*journal.Journal, error) {
	j, err := folder.OpenJournal(log)
	if errors.Is(err, journal.ErrVersion) {
		err = withHint(err, "run the newer program again, or have it return --all before you go back")
	}
	return j, err
}
