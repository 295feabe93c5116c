// Package sandbox keeps what the sandboxes of a node hold: it attaches host
// devices to them, returns the devices when they end, and finds the ends that
// nobody tells of. It knows no container runtime: package plugin translates.
//
// # One state
//
// The state of a sandbox is its record in the journal, as the journal publishes
// it. Hooks, gate, sweep, status and the control socket read that and nothing
// else. What only this process knows beside it (that a container was seen, what
// was tried and logged) is one value, the sandbox's memory, which ends with the
// sandbox.
//
//	(none) -> Attaching -> Attached -> Returning -> (none)
//	              |                        |
//	              +-> Returning            +-> Quarantined, Lost
//
// A sandbox is published as Attached only after who asked was told of success, and
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
// Whatever suggests that a sandbox has ended leads to one idempotent return of
// what it holds. What cannot be returned now stays in the journal, and the sweep
// tries again.
package sandbox
