// Package scale measures the program itself on a node with many pods: memory, start,
// sweep, status and recovery. It is the runtime's half of NRI, and the program is the real
// one, on real namespaces and devices.
package scale
