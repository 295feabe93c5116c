// Package plugin is the NRI side of the program: it turns the runtime's requests into
// operations on sandboxes, which package sandbox does.
//
// A hook does little: it bounds the time, calls down, and logs once. plugin.go has the
// hooks of a pod, gate.go the one of a container, serve.go the connection to the runtime,
// deadline.go the time. For a pod without the annotation nothing happens at all: no lock,
// no netlink message, no disk access.
package plugin
