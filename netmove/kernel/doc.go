// Package kernel drives Linux for netmove, through rtnetlink(7) and sysfs.
//
// It is the only package of the program that talks to the kernel about
// network devices. A namespace is a handle with a netlink socket that was
// opened inside it; no request depends on the namespace a thread happens to
// be in. For what does, such as files of sysctls, a thread goes there and comes
// back (Namespace.do). Linux 5.14 is the oldest that will do (SO_NETNS_COOKIE).
//
// A request to the kernel cannot be interrupted: whoever holds RTNL, the lock
// of all network devices, holds every request up. Each call that can wait for
// a lock of the kernel or for a file system is watched (Linux.Patience), and
// namespaces are opened in one place (Linux.openFile), which every handle
// inherits its watch from. Not watched is what waits for nothing of others:
// reading the clock, names and inodes in sysfs, pidfds.
package kernel
