// Package workload reads Kubernetes objects for what their pods ask for: pods,
// lists, and every kind with a pod template. It also knows which names the
// controllers of these kinds give to their pods, as far as that can be known
// before the pods are there.
//
// A name is a pattern where a part of it is random. Examples picks names from
// the patterns so that each glob of the node config that could match one of
// them, or not, is seen to do so. Nothing here talks to a cluster.
package workload
