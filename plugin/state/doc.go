// Package state is the state folder: who may write it, which run of the kernel
// it belongs to, and the journal in it.
//
// One process at a time writes the folder. Lock waits until no other one does.
// There is no way to unlock: work for a pod, or a request to the kernel, may go
// on behind a process that is told to end, until the process is gone. The
// kernel unlocks the folder then, whatever has ended the process (flock(2)).
//
// Somebody may remove the folder, and with it the lock file, which another
// process could then make and lock anew. Held notices that, and Retake locks
// the folder again or tells that there is another writer.
package state
