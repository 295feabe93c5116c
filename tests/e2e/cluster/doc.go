// Package cluster makes a one-node Kubernetes on a node of package node: etcd,
// API server, controller manager, scheduler and kubelet, all real, with that
// node's containerd.
//
// All of it ends with the node, and all its files are on the node's /run.
package cluster
