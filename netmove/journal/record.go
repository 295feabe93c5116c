package journal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// version is that of the record's format.
const version = 2

// oldest is the first version: its snapshots have no parts, text is strings, and options and
// tables that came later are not in it.
const oldest = 1

// State is how far the work on a sandbox has come.
type State string

const (
	// Attaching: devices may be on either side. Without the process that does
	// it, it is undone.
	Attaching State = "attaching"

	// Attached: all devices are in the pod.
	Attached State = "attached"

	// Returning: the pod is at its end, or its attach failed; devices that
	// are still listed are on their way home.
	Returning State = "returning"

	// Quarantined: the pod is at its end, and something of the pod's is on
	// devices that are home. They wait for an operator.
	Quarantined State = "quarantined"

	// Lost: the pod is at its end, and devices that it had exist no more. The
	// record is there for people to read.
	Lost State = "lost"
)

// manualPrefix begins the id of what holds a device that was moved by hand.
const manualPrefix = "manual-"

// ManualID is the id under which a device is recorded that was moved by hand,
// for no sandbox of a runtime.
func ManualID(id netmove.Identity) string { return manualPrefix + id.RecognisableName() }

// Record is what the journal keeps of one sandbox. The devices in it are the
// ones that are not known to be home and as they were.
type Record struct {
	Version int       `json:"version"`
	BootID  string    `json:"bootID"` // /proc/sys/kernel/random/boot_id
	Sandbox string    `json:"sandbox"`
	Pod     Pod       `json:"pod"`
	Netns   Netns     `json:"netns"`
	State   State     `json:"state"`
	Since   time.Time `json:"since"` // when the attach began

	// Committed is set when the attach was completed.
	Committed bool `json:"committed,omitempty"`

	// Claims are the UIDs of the claims of which the sandbox has devices.
	Claims []string `json:"claims,omitempty"`

	Devices []netmove.Attachment `json:"devices"`

	// Quarantined are devices that are home, down and without addresses, with
	// something of the pod's on them that could not be removed. They are
	// nobody else's until an operator has them returned.
	Quarantined []netmove.Attachment `json:"quarantined,omitempty"`

	// Lost are devices that the sandbox had and that exist no more: deleted by
	// the pod, died with a namespace that nobody held, or hardware that was
	// removed. Their names are free.
	Lost  []netmove.Attachment `json:"lost,omitempty"`
	Ended time.Time            `json:"ended,omitzero"` // when no devices were left that can be returned

	// Problems tell people why a device is not yet what it was, by its name on
	// the host.
	Problems map[string]Problem `json:"problems,omitempty"`
}

// Problem is why a return is not complete.
type Problem struct {
	Misnamed bool   `json:"misnamed,omitempty"` // it is home, under its recognisable name
	Text     string `json:"text"`
}

// Manual reports whether the devices were moved by hand. Nobody but who moved
// them knows when their time is over.
func (r *Record) Manual() bool { return strings.HasPrefix(r.Sandbox, manualPrefix) }

// Holder is who has the devices, in words.
func (r *Record) Holder() string {
	if r.Manual() {
		return fmt.Sprintf("the network namespace %s, where it was moved by hand", r.Netns.Path)
	}
	return "pod " + r.Pod.String()
}

// All are the devices that are not free for others. Lost hardware counts: when
// it is there again, it has to be restored first.
func (r *Record) All() []netmove.Attachment {
	return slices.Concat(r.Devices, r.Quarantined, r.Lost)
}

// Pod is the pod that a sandbox belongs to.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// String is namespace/name.
func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// Netns is the sandbox's network namespace. The path is where the runtime put
// it; the cookie tells whether the path still means the same namespace.
type Netns struct {
	Path   string `json:"path"`
	Cookie uint64 `json:"cookie"`
	Inode  uint64 `json:"inode"`
	Pause  int    `json:"pause,omitempty"` // pid of the pause process; 0: not told
}

// Has reports whether the record has the device.
func (r *Record) Has(id netmove.Identity) bool { return r.holds(id) }

// holds reports whether the record has the device with that identity. It copies none of
// them: every attach asks every record.
func (r *Record) holds(id netmove.Identity) bool {
	for _, list := range [...][]netmove.Attachment{r.Devices, r.Quarantined, r.Lost} {
		for i := range list {
			if list[i].Before.Identity.Same(id) {
				return true
			}
		}
	}
	return false
}

// InUse is the refusal of a device of the record to whom calls it that.
func (r *Record) InUse(device string, id netmove.Identity) *InUseError {
	return &InUseError{
		Device: device,
		Holder: r.Holder(),
		Quarantined: slices.ContainsFunc(r.Quarantined, func(a netmove.Attachment) bool {
			return a.Before.Identity.Same(id)
		}),
	}
}

// InUseError tells that the device is not free.
type InUseError struct {
	Device      string // as the pod that is refused calls it
	Holder      string // who has it, in words
	Quarantined bool   // it is home, with something on it that its last pod left
	Reserved    bool   // it is promised to the holder
}

func (e *InUseError) Error() string {
	if e.Quarantined {
		return fmt.Sprintf("device %q is quarantined: something that %s put on it could not be removed; ask the node's operator", e.Device, e.Holder)
	}
	if e.Reserved {
		return fmt.Sprintf("device %q is reserved for %s by a resource claim", e.Device, e.Holder)
	}
	return fmt.Sprintf("device %q is in use by %s", e.Device, e.Holder)
}
