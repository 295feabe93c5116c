package sandbox

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// What the status tells of a device, by its record.
func TestStatusOf(t *testing.T) {
	one := []netmove.Attachment{{Before: netmove.Snapshot{Name: "eth1", Identity: netmove.Identity{Inode: 77}}}}
	homeName := one[0].Before.Identity.RecognisableName()
	problem, misnamed := journal.Problem{Text: "busy"}, journal.Problem{Text: "taken", Misnamed: true}
	for _, tc := range []struct {
		record   journal.Record
		problem  journal.Problem
		state    State
		homeName string
	}{
		{journal.Record{State: journal.Attaching, Devices: one}, journal.Problem{}, StateAttaching, ""},
		{journal.Record{State: journal.Attached, Devices: one}, journal.Problem{}, StateAttached, ""},
		{journal.Record{State: journal.Attached, Devices: one}, problem, StateReturning, ""},
		{journal.Record{State: journal.Attached, Lost: one}, problem, StateLost, ""},
		{journal.Record{State: journal.Returning, Devices: one}, problem, StateReturning, ""},
		{journal.Record{State: journal.Returning, Devices: one}, misnamed, StateMisnamed, homeName},
		{journal.Record{State: journal.Quarantined, Quarantined: one}, problem, StateQuarantined, ""},
		{journal.Record{State: journal.Quarantined, Quarantined: one}, misnamed, StateQuarantined, homeName},
		{journal.Record{State: journal.Lost, Lost: one}, problem, StateLost, ""},
	} {
		r := tc.record
		r.Pod, r.Problems = journal.Pod{Namespace: "default", Name: "a"}, map[string]journal.Problem{"eth1": tc.problem}
		got := StatusOf([]*journal.Record{&r}).Attachments
		if len(got) != 1 || got[0].State != tc.state || got[0].HomeName != tc.homeName || got[0].Problem != tc.problem.Text || got[0].Pod != "default/a" {
			t.Errorf("%s with %+v: %+v", r.State, tc.problem, got)
		}
	}
}
