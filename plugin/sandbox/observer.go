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

// nobody is the Observer that counts nothing.
type nobody struct{}

func (nobody) Attached(time.Duration)   {}
func (nobody) Returned(Outcome)         {}
func (nobody) ReturnTook(time.Duration) {}
func (nobody) Differs(Side, string)     {}
func (nobody) Recovers()                {}
