package plugin

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/api"

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

func allStates() []State {
	return []State{StateAttaching, StateAttached, StateReturning, StateMisnamed, StateQuarantined, StateLost}
}

// Status is what the plugin knows of devices that are not on the host as they
// were, of pods that lack theirs, and of what could not be put back.
type Status struct {
	Attachments []Attachment `json:"attachments"`
	Missed      []Missed     `json:"missed"`
	Altered     []Altered    `json:"altered"`
	Runtime     *Runtime     `json:"runtime,omitempty"` // that the plugin is registered with; nil while it is not
}

// Runtime is the container runtime.
type Runtime struct {
	Name           string `json:"name"`
	Version        string `json:"version"`
	NRI            string `json:"nri,omitempty"`  // version of its NRI, if it tells
	RequestTimeout string `json:"requestTimeout"` // how long it waits for an answer
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

// Missed is a pod that runs without the devices that it asks for.
type Missed struct {
	Pod     string `json:"pod"`
	Sandbox string `json:"sandbox"`
}

// Status tells what the journal and the runtime's list say.
func (p *Plugin) Status() Status {
	s := Status{Attachments: attachments(p.journal.All()), Missed: p.missed.list(), Altered: p.altered.list()}
	if p.ready.Load() {
		s.Runtime = p.runtime.Load()
	}
	return s
}

// StatusOf is the status as far as the records tell it, without the plugin.
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
	if problem.Misnamed {
		one.HomeName = a.Before.Identity.RecognisableName()
		if state != StateQuarantined {
			one.State = StateMisnamed
		}
	}
	return one
}

// missed are the pods that run without the devices that they ask for. The zero
// value is ready.
type missed struct {
	mu   sync.Mutex
	pods map[string]Missed // by sandbox
}

// add reports whether the pod is not known yet as missed.
func (m *missed) add(pod *api.PodSandbox) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pods == nil {
		m.pods = map[string]Missed{}
	}
	_, known := m.pods[pod.GetId()]
	m.pods[pod.GetId()] = Missed{Pod: pod.GetNamespace() + "/" + pod.GetName(), Sandbox: pod.GetId()}
	return !known
}

// only forgets the pods that are not listed any more.
func (m *missed) only(has map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.pods, func(sandbox string, _ Missed) bool { return !has[sandbox] })
}

func (m *missed) forget(sandbox string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pods, sandbox)
}

// list is ordered by pod.
func (m *missed) list() []Missed {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.AppendSeq([]Missed{}, maps.Values(m.pods))
	slices.SortFunc(list, func(a, b Missed) int {
		return strings.Compare(a.Pod+" "+a.Sandbox, b.Pod+" "+b.Sandbox)
	})
	return list
}
