// Package node makes a machine for tests and demonstrations: a set of
// namespaces in which a real containerd runs real pods.
//
// A node looks like a machine from inside. It has an eth0 with a default
// route, a /run of its own, containerd and NRI at their usual sockets, and a
// pid 1 in its network namespace, so that a program under test runs with its
// defaults. Files outside /run and the programs are the machine's.
//
// All of a node ends with its pid 1, and that ends with the process that
// started the node: no process, mount, namespace, device or file is left
// behind, even by a SIGKILL. Cgroups have no such owner. Close removes them,
// and Start those of nodes that were never closed.
//
// It needs root, Linux 5.8, nsenter and unshare (util-linux), ip (iproute2),
// runc, the CNI plugins bridge and host-local, Go to make the image once, and
// containerd with its shim and ctr as tests/setup builds them.
package node
