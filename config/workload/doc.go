// Package workload reads Kubernetes objects for what their pods ask for: pods,
// lists, and every kind with a pod template. It also knows which names the
// controllers of these kinds give to their pods, as far as that can be known
// before the pods are there.
//
// A name with a random part is a pattern. Examples picks names from the patterns, one
// for each way in which the globs of the node config can match. Nothing here talks to a
// cluster.
package workload
