// Package netmove moves network devices from the host into a pod's network
// namespace and back. It knows no Kubernetes and no NRI.
//
// # Attach
//
// What the device is, is read before anything is touched (Snapshot), what
// shall happen is decided (NewPlan) and compared with the pod (Prepare); so
// far nothing has changed. Then, for each device:
//
//  1. guard: an altname equal to the device's name goes on the pod's lo,
//     unless the name does not change or the pod has it anyway
//  2. move: one RTM_NEWLINK with IFLA_NET_NS_FD, IFLA_IFNAME and
//     IFLA_NEW_IFINDEX
//  3. the guard goes
//  4. what the pod asks for that decides how packets are made: MAC, MTU, GSO and GRO
//     sizes, offload features, sysctls
//  5. addresses, in their order, IPv6 with IFA_F_NODAD
//  6. up, before the IPv6 addresses
//  7. IFA_F_NODAD is taken off again where it was not there before
//  8. neighbors, routes and policy rules that the pod asks for; before a route that replaces
//     the pod's default ones, these get worse metrics (Replacement); what the kernel does not
//     take of 4 to 8 undoes the attach
//  9. programs of the host's go, if the pod asks for that: last, since the other end of a
//     link cannot be undone
//  10. routes, neighbors and policy rules that go along; what the kernel does not take is
//     noted and no reason to undo anything (Difference), since nobody asked for it
//  11. the device is read again, and what is not as meant is noted
//
// The device is never set down first: that would take its IPv6 addresses away
// before they were read, and the move sets it down anyway.
//
// Why the guard: a move with a new name is not atomic by itself. If the new
// name is taken in the target and the device's current name is free there,
// the kernel moves first and fails to rename after (do_setlink calls
// dev_change_name behind __dev_change_net_namespace), and the device is left
// in the pod: down, without addresses, under its old name. With its current
// name taken in the target, the kernel looks at the new name before it touches
// anything, and renames within the move.
//
// After any error the devices that were touched are brought back, last one
// first. There is one way back for all cases, Return.
//
// # Return
//
// Return does not undo steps. It looks for the device, in the pod and on the
// host, and makes it what the snapshot says, changing only what differs. It
// may be interrupted anywhere and repeated any number of times, so it serves
// the end of a pod, the undo of a failed attach and the recovery after a crash
// alike:
//
//  1. policy rules of the attach go from the pod, and altnames that the pod added from the
//     device: one of them may be taken on the host, which would keep it in the pod
//  2. devices that the pod built on it go
//  3. it gets its recognisable name, which nobody else has
//  4. it moves home, under its host name, to its old index if that is free;
//     what comes home in its place goes back
//  5. devices that the pod built on it go, in the pod and in the namespaces that
//     the pod's knows; while it cannot be told whose one is, the device stays
//     down
//  6. name, altnames, alias, MAC, MTU, queue length, group, master
//  7. XDP and TCX programs of the pod's go; while one cannot, the device stays
//     down
//  8. flags, sysctls, options; addresses, and up if it was up; entries of tables
//  9. the device is read again, and what differs still is put back again, once
//  10. programs of the host's that were taken off for the pod are attached again
//  11. default routes of a pod that goes on have the metrics again that they had
//
// Steps 5 and 7 are at home, where the pod can put nothing back, and before 8,
// so that what the pod left sees nothing of the host's. Step 2 is before, since
// not every kind of device can be found from afar.
//
// If its name is taken on the host the kernel fails after the move, and the
// device is home under its recognisable name; a later Return renames it.
//
// # Crash
//
// Nothing here is written to disk. The journal (package journal) has the
// snapshots before step 1 of an attach, so at every step the device is known,
// with all it takes to bring it home:
//
//	crash                          what recovery finds        and does
//	before the record is written   nothing changed            nothing
//	in an attach                   state attaching            Undo: guards go, devices return
//	after the record's commit      state attached             nothing: the pod has its devices
//	in a return                    state returning            Return, again
//	after the last return          state returning, all home  Return finds nothing to do
//
// An attach is committed by the record's second write, a return by its removal.
//
// # Identity
//
// A pod with NET_ADMIN can give a device any name, alias, altname, MAC and
// index, and can put another device in its place that has all of these. What
// it cannot forge is the inode of the device's folder in sysfs. Every
// operation finds its device by that (Identity, Reader.Find); an
// impostor is nobody's device and is not touched.
//
// # Assumptions
//
//  1. Linux 5.14 or newer: SO_NETNS_COOKIE; IFLA_NEW_IFINDEX (5.13) is ignored
//     silently by older ones.
//  2. The inode of a sysfs folder is a 64-bit kernfs id that is not reused
//     within a boot (fs/kernfs/dir.c), which holds on 64-bit kernels.
//  3. Nobody else moves or renames a device of the host while it is being
//     attached; if somebody does, the attach fails and the device stays.
//  4. Two operations never run at a time for one device. The caller sees to it.
package netmove
