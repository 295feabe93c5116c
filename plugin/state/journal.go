package state

import (
	"log/slog"
	"os"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// OpenJournal opens the journal for the folder's writer. It sets aside files that are no
// records of this boot, and logs them.
func (f *Folder) OpenJournal(log *slog.Logger) (*journal.Journal, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	j, problems, err := journal.Open(f.path, boot)
	for _, p := range problems {
		log.Error("a file of the journal was set aside", "err", p)
	}
	return j, err
}

// ReadJournal reads the records of this boot in the folder at path, which
// another process may write meanwhile.
func ReadJournal(path string) ([]*journal.Record, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	return journal.Read(path, boot)
}

// bootID tells one run of the kernel from another (proc_sys_kernel(5)).
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}
