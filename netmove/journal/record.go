// Package journal keeps on disk which pod holds which host devices, and what
// they were on the host: one JSON file a sandbox, readable by people.
//
// A record is written before the first device of a sandbox is touched
// (Begin), changed when the work is done (Put), and removed after the last
// device is home (Remove). Whoever reads the journal after a crash knows every
// device that may be away, and what to make of it again. The journal says what
// was meant; the kernel is the truth.
//
// Writing is atomic: a temporary file is written, synchronised, renamed, and
// the folder synchronised. The files belong on a tmpfs such as /run, since a
// reboot ends namespaces and journal together; a record of an earlier boot is
// set aside.
//
// The journal is also what decides between two pods that want one device:
// Begin claims the devices of its record, by identity.
package journal

import (
	"fmt"
	"slices"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// version is that of the record's format.
const version = 1

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

	// Lost: the pod is at its end, and devices that it had exist no more. The
	// record is there for people to read.
	Lost State = "lost"
)

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

	Devices []netmove.Attachment `json:"devices"`

	// Lost are devices that the sandbox had and that exist no more: deleted by
	// the pod, died with a namespace that nobody held, or hardware that was
	// removed. Their names are free.
	Lost  []netmove.Attachment `json:"lost,omitempty"`
	Ended time.Time            `json:"ended,omitzero"` // when Lost was all that was left
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

// holds reports whether the record has the device with that identity. Lost
// hardware counts: when it is there again, it has to be restored first.
func (r *Record) holds(id netmove.Identity) bool {
	same := func(a netmove.Attachment) bool { return a.Before.Identity.Same(id) }
	return slices.ContainsFunc(r.Devices, same) || slices.ContainsFunc(r.Lost, same)
}

// InUseError tells that another sandbox has the device.
type InUseError struct {
	Device string // as the pod that is refused calls it
	Holder Pod
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("device %q is in use by pod %s", e.Device, e.Holder)
}
