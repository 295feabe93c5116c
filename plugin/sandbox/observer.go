package sandbox

import "time"

// Observer counts what happens to sandboxes. Its methods are called by many
// goroutines.
type Observer interface {
	// Attached counts a sandbox that has got its devices. The moves took so long.
	Attached(took time.Duration)

	// Returned counts a device whose return has ended.
	Returned(how Outcome)

	// ReturnTook counts one try to return devices of a sandbox.
	ReturnTook(took time.Duration)

	// Differs counts an attribute that is not as meant in a pod, or not as before on
	// the host.
	Differs(where Side, attribute string)

	// Recovers counts a sandbox whose attach or return an earlier process has not
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

// Nobody is the Observer of who counts nothing.
type Nobody struct{}

// Attached counts nothing.
func (Nobody) Attached(time.Duration) {}

// Returned counts nothing.
func (Nobody) Returned(Outcome) {}

// ReturnTook counts nothing.
func (Nobody) ReturnTook(time.Duration) {}

// Differs counts nothing.
func (Nobody) Differs(Side, string) {}

// Recovers counts nothing.
func (Nobody) Recovers() {}
