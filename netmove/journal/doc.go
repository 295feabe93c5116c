// Package journal keeps on disk which sandbox holds which host devices, and what
// they were on the host: one JSON file a sandbox, readable by people. The journal
// says what was meant; the kernel is the truth.
//
// # Steps
//
// Each operation has one step that commits it. Before that step a crash leaves the
// file as it was before, after it as it is meant.
//
//	operation  steps                                                commits
//	Begin      check, write the file, publish                       write the file
//	Put        write the file, publish                              write the file
//	Commit     write the file; later, when it is called, publish    write the file
//	Remove     remove the file, publish                             remove the file
//	Reserve    check, write the file, publish                       write the file
//	Unreserve  check, remove the file, publish                      remove the file
//
// To write the file is to write a temporary one, to synchronize it, to rename it (this
// commits it), and to synchronize the folder. What Get and All return is published by one
// store of a pointer.
//
// A sandbox's record is written before its first device is touched (Begin), and again when
// all devices are in the pod (Commit) and when something has changed (Put). It is removed
// after the last device is home (Remove).
//
// A reservation promises devices to a pod that a claim is for: one JSON file a claim. It is
// made before the pod starts (Reserve) and ends when the claim is let go of (Unreserve),
// which takes that its devices are home, lost or quarantined.
//
// # Recovery
//
// Open reads the records that the process before this one left. Every device that may be
// away is in one of them:
//
//   - attaching: the process ended before Commit; what is in the pod is to be returned;
//   - attached: the pod has its devices, whether the runtime was told so or not;
//   - returning: the return is to be completed;
//   - quarantined, lost: there is nothing to do but to wait.
//
// A temporary file is removed. What is read and is no record of this boot is set aside. What
// cannot be read may be a record, so Open tries again and then fails, and changes nothing.
//
// # Failures
//
// An operation that fails is in one of these states, and Save, called every second, ends it:
//
//   - Begin: nothing is published. The file is removed; if that fails too, it is removed
//     before another sandbox gets one of its devices.
//   - Put: the change is published, and the file is written later. Before another sandbox
//     gets a device that the file may tell of, the file is written.
//   - Commit: what is published stays, and is written again.
//   - Remove: the record stays published, and the caller tries again.
//   - Reserve: nothing is published, and the file is removed. If that fails too, it holds
//     after a restart, until the claim is let go of.
//   - Unreserve: the reservation stays published, and the caller tries again.
//
// # Invariants
//
// Invariant: a device is in at most one record, among those published as among those on
// disk. Identity decides (netmove.Identity.Same).
//
// Invariant: a record is on disk before its devices move.
//
// Invariant: a published record is never changed in place.
//
// Invariant: what could not be read is never set aside.
//
// # Where
//
// The files belong on a tmpfs such as /run, since a reboot ends namespaces and journal
// together; records of an earlier boot are set aside. One process writes at a time; others
// may Read.
package journal
