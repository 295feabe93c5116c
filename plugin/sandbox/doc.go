// Package sandbox attaches host devices to the sandboxes of a node, returns the devices
// when the sandboxes end, and finds ends that no hook tells. It knows no container
// runtime: package plugin translates.
//
// # One state
//
// The state of a sandbox is its record, as the journal publishes it. Hooks, gate,
// sweep, status and the control socket read the record and nothing else. What only
// this process knows (that a container was seen, what was tried and logged) is one
// value, the sandbox's memory, which ends with the sandbox.
//
//	(none) -> Attaching -> Attached -> Returning -> (none)
//	              |                        |
//	              +-> Returning            +-> Quarantined, Lost
//
// A sandbox is published as Attached only after the caller was told of success, and
// leaves Attached before its first device does.
//
// # Order
//
// One operation at a time works on a sandbox: each takes the sandbox's lock and
// reads the state under it. Operations on different sandboxes run together; the
// journal keeps them off each other's devices. No operation holds two locks.
//
// # Ends
//
// Whatever suggests that a sandbox has ended leads to one idempotent return of its
// devices. A device that cannot be returned now stays in the journal, and the sweep
// tries again.
package sandbox
