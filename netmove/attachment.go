package netmove

import "strconv"

// Attachment is one device on its way to a pod, in it, or on its way back:
// what the journal keeps of it.
type Attachment struct {
	Request Request  `json:"request"`
	Before  Snapshot `json:"before"` // what Return puts back

	PodName   string    `json:"podName"`             // name meant in the pod
	Addresses []Address `json:"addresses,omitempty"` // addresses meant in the pod

	Entries []Entry `json:"entries,omitempty"` // routes and neighbors meant in the pod

	// Differences are what in the pod is not as meant.
	Differences []Difference `json:"differences,omitempty"`

	// Replaced are default routes of the pod's that stand back meanwhile.
	Replaced []Replacement `json:"replaced,omitempty"`

	// Left is what could go along, and stays on the host.
	Left []Difference `json:"-"`

	// Guard is set when an altname equal to the host name is put on the pod's
	// lo for the move, so that recovery knows what may have been left there.
	Guard bool `json:"guard,omitempty"`

	// Downed is set when the device was set down once at home for a change that a driver
	// refused. A process that starts anew tries again.
	Downed bool `json:"-"`

	// Loss is what the move loses, though it is accepted. It is told before the attach.
	Loss []Loss `json:"-"`

	// Lower is the device of the host that it is built on, for errors of the attach.
	Lower Lower `json:"-"`

	// PodIndex is the ifindex in the pod as a hint for finding the device; 0
	// until it got there.
	PodIndex int `json:"podIndex,omitempty"`
}

// Homeward is in which order the devices of a list return, by their places in it: the last
// one first, but ports of one bridge by their numbers. The kernel gives a port the lowest number
// that is free.
func Homeward(list []Attachment) []int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = len(list) - 1 - i
	}
	for i := range order {
		for j := range order[:i] {
			if list[order[i]].Before.portBefore(list[order[j]].Before) {
				order[i], order[j] = order[j], order[i]
			}
		}
	}
	return order
}

// portBefore reports whether it is a port of the same bridge with a lower number.
func (s Snapshot) portBefore(other Snapshot) bool {
	return s.Port != 0 && s.Port < other.Port && s.Master.Same(other.Master)
}

// RecognisableName is the name a device gets while it is nobody's: on its way
// home, and at home as long as its own name is taken there. It says which
// device it is, since the sysfs inode is never reused: "nd" and the inode in
// base 36, 15 bytes at most.
func (id Identity) RecognisableName() string {
	return "nd" + strconv.FormatUint(id.Inode, 36)
}
