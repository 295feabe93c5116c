package sandbox

import "time"

// Observer counts what happens to sandboxes. Its methods are called by many
// goroutines.
type Observer interface {
	// Attached is told that a sandbox has got its devices, and how long the moves took.
	Attached(took time.Duration)

	// Returned is told how the return of one device has ended.
	Returned(how Outcome)

	// ReturnTook is told how long one try to return devices of a sandbox took.
	ReturnTook(took time.Duration)

	// Differs is told of an attribute that is not as meant in a pod, or not as it
	// was on the host.
	Differs(where Side, attribute string)

	// Recovers is told of a sandbox whose attach or return an earlier process had not
	// completed.
	Recovers()
}

// Side is where a device is.
type Side string

// The two sides.
const (
	PodSide  Side = "pod"
	HostSide Side = "host"
)

// nobody is the Observer of who counts nothing.
type nobody struct{}

func (nobody) Attached(time.Duration)   {}
func (nobody) Returned(Outcome)         {}
func (nobody) ReturnTook(time.Duration) {}
func (nobody) Differs(Side, string)     {}
func (nobody) Recovers()                {}
