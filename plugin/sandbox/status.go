package sandbox

import (
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// State is where a device is in its life away from the host.
type State string

// The states of a device, see the states of a record for the details.
const (
	StateAttaching   State = "attaching"
	StateAttached    State = "attached"
	StateReturning   State = "returning"
	StateMisnamed    State = "misnamed" // home under another name, since its own is taken
	StateQuarantined State = "quarantined"
	StateLost        State = "lost"
)

// States lists every state.
func States() []State {
	return []State{StateAttaching, StateAttached, StateReturning, StateMisnamed, StateQuarantined, StateLost}
}

// Status lists the devices that are away, the pods that run without theirs, and the
// devices that are not as they were.
type Status struct {
	Attachments []Attachment `json:"attachments"`
	Missed      []Missed     `json:"missed"`
	Altered     []Altered    `json:"altered"`
}

// Attachment is one device of one sandbox.
type Attachment struct {
	Pod      string    `json:"pod,omitempty"` // namespace/name; "" for a device that was moved by hand
	Sandbox  string    `json:"sandbox"`
	Netns    string    `json:"netns"`              // where the sandbox's network namespace was when it got the device
	Device   string    `json:"device"`             // host name
	PodName  string    `json:"podName"`            // name meant in the pod
	HomeName string    `json:"homeName,omitempty"` // name on the host now, while misnamed
	Since    time.Time `json:"since"`              // the attach
	State    State     `json:"state"`
	Problem  string    `json:"problem,omitempty"` // why the return is not complete

	Differences []netmove.Difference `json:"differences,omitempty"` // what in the pod was not as meant at the attach
}

// Status describes what the sandboxes hold.
func (t *Table) Status() Status {
	return Status{Attachments: attachments(t.journal.All()), Missed: t.Missed(), Altered: t.Altered()}
}

// StatusOf returns what the records tell of the status, without the plugin.
func StatusOf(records []*journal.Record) Status {
	return Status{Attachments: attachments(records), Missed: []Missed{}, Altered: []Altered{}}
}

func attachments(records []*journal.Record) []Attachment {
	list := []Attachment{}
	for _, r := range records {
		for _, a := range r.Devices {
			list = append(list, attachment(r, a, State(r.State)))
		}
		for _, a := range r.Quarantined {
			list = append(list, attachment(r, a, StateQuarantined))
		}
		for _, a := range r.Lost {
			list = append(list, attachment(r, a, StateLost))
		}
	}
	return list
}

func attachment(r *journal.Record, a netmove.Attachment, state State) Attachment {
	problem := r.Problems[a.Before.Name]
	one := Attachment{
		Sandbox: r.Sandbox, Netns: r.Netns.Path, Device: a.Before.Name, PodName: a.PodName,
		Since: r.Since, State: state, Problem: problem.Text, Differences: a.Differences,
	}
	if !r.Manual() {
		one.Pod = r.Pod.String()
	}
	if problem.Text != "" && state == StateAttached {
		one.State = StateReturning
	}
	if problem.Misnamed {
		one.HomeName = a.Before.Identity.RecognisableName()
		if state != StateQuarantined {
			one.State = StateMisnamed
		}
	}
	return one
}
