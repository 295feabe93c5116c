package sandbox

import (
	"log/slog"
	"sync/atomic"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// Table keeps what the sandboxes of the node hold. Make it with New.
type Table struct {
	kernel   Kernel
	mover    *netmove.Mover
	journal  *journal.Journal // with the published state of each sandbox
	config   atomic.Pointer[config.NodeConfig]
	log      *slog.Logger
	observer Observer

	locks  locks
	pins   *pins
	specs  specs
	driver *published

	inventory versioned[[]claim.Device]
	claims    versioned[[]claim.Status]
	looked    looked // by who updates the inventory

	memories memories
	altered  keyed[Altered] // by the device's recognisable name
	ends     *ends
	estimate estimate

	announcements announcements

	wake      chan struct{}          // has the sweep look at once
	left      []*journal.Record      // by an earlier process, until Recover
	unsaved   atomic.Pointer[string] // why records are not on disk
	recovered atomic.Bool            // Recover is done
}

// Folders are where a table keeps its files.
type Folders struct {
	State string // the state folder, with the pins
	CDI   string // of CDI specifications, which runtimes read
}

// New makes a table that moves devices with mover, keeps its records in j and begins with
// the node config c. It removes what an earlier process has left for claims that have no
// devices.
func New(kernel Kernel, mover *netmove.Mover, j *journal.Journal, folders Folders, c *config.NodeConfig, observer Observer, log *slog.Logger) *Table {
	t := &Table{
		kernel: kernel, mover: mover, journal: j, log: log, observer: observer, left: j.All(),
		wake: make(chan struct{}, 1),
		pins: newPins(kernel, folders.State, log), specs: specs{folders.CDI},
		driver: newPublished(folders.State, mover.Now, log),
		ends:   newEnds(kernel, log),
	}
	mover.Holds = j.Holds
	t.config.Store(c)
	if err := t.cleanGate(); err != nil {
		log.Error("CDI specifications of pods that have ended may be left", "err", err)
	}
	return t
}

// Config returns the node config in force.
func (t *Table) Config() *config.NodeConfig { return t.config.Load() }

// SetConfig replaces the node config. Pods that have their devices keep them.
func (t *Table) SetConfig(c *config.NodeConfig) { t.config.Store(c) }

// Recovered reports whether Recover is done.
func (t *Table) Recovered() bool { return t.recovered.Load() }

// Pins counts the network namespaces that are kept alive.
func (t *Table) Pins() int { return t.pins.count() }

// SetAside counts the files of the journal that were no records.
func (t *Table) SetAside() int { return t.journal.SetAside() }

// SeeRuntime notes the pid of the runtime, which is 0 for a process that this one cannot
// see (SO_PEERCRED, unix(7)).
func (t *Table) SeeRuntime(pid int32) { t.ends.seeRuntime(pid) }
