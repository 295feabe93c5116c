package netmove

import (
	"strings"
	"testing"
)

// A device takes its name from itself, and from no other one.
func TestTakeName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		host        answers
		asked, want string
	}{
		"free":            {answers{}, "look x, rename x", ""},
		"own altname":     {answers{found: map[string]int{"x": 3}}, "look x, drop altname x, look x, rename x", ""},
		"altname is gone": {answers{found: map[string]int{"x": 3}, to: map[string]error{"drop altname": ErrNotFound}}, "look x, drop altname x, look x, rename x", ""},
		"altname stays":   {answers{found: map[string]int{"x": 3}, to: map[string]error{"drop altname": ErrBusy}}, "look x, drop altname x", `drop altname "x": ` + ErrBusy.Error()},
		"another's":       {answers{found: map[string]int{"x": 4}}, "look x", ErrNameTaken.Error()},
		"not seen":        {answers{to: map[string]error{"look": ErrBusy}}, "look x", ErrBusy.Error()},
		"refused":         {answers{to: map[string]error{"rename": ErrExists}}, "look x, rename x", `rename to "x": ` + ErrExists.Error()},
		"comes and goes": {
			answers{to: map[string]error{"rename": ErrNameTaken}},
			strings.TrimSuffix(strings.Repeat("look x, rename x, ", 8), ", "), `rename to "x": ` + ErrNameTaken.Error(),
		},
		"up":         {answers{to: map[string]error{"rename": ErrBusy}}, "look x, rename x, up false, rename x", ""},
		"up, and so": {answers{to: map[string]error{"rename": ErrBusy, "up": ErrExists}}, "look x, rename x, up false", `set down for the rename to "x": ` + ErrExists.Error()},
	} {
		host := tc.host
		err := (&Mover{Host: &host}).takeName(3, "x")
		if host.log() != tc.asked || errorText(err) != tc.want {
			t.Errorf("%s: asked for %s: %v", name, host.log(), err)
		}
	}
}

// Where a name is taken the device gets another one, once.
func TestRenameHome(t *testing.T) {
	t.Parallel()
	before := Snapshot{Name: "x"}
	for name, tc := range map[string]struct {
		is, asked, want string
		rename          error
	}{
		"named otherwise":     {"y", "look x, rename nd11", `device is home under another name, "nd11": the name "x" is taken`, nil},
		"recognizable by now": {"nd11", "look x", `device is home under another name, "nd11": the name "x" is taken`, nil},
		"refused":             {"y", "look x, rename nd11", "the name is taken\nrename to \"nd11\": " + ErrExists.Error(), ErrExists},
	} {
		host := &answers{found: map[string]int{"x": 4}, to: map[string]error{"rename": tc.rename}}
		err := (&Mover{Host: host}).renameHome(Snapshot{Name: tc.is, Identity: Identity{Inode: 37, Index: 3}}, before)
		if host.log() != tc.asked || errorText(err) != tc.want {
			t.Errorf("%s: asked for %s: %v", name, host.log(), err)
		}
	}
}

// Of the altnames those go that the host has given away.
func TestDropTakenAltnames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		host, pod   map[string]error
		asked, want string
	}{
		"dropped":  {nil, nil, "drop altname b", ""},
		"gone":     {nil, map[string]error{"drop altname": ErrNotFound}, "drop altname b", ""},
		"refused":  {nil, map[string]error{"drop altname": ErrBusy}, "drop altname b", `drop altname "b": ` + ErrBusy.Error()},
		"not seen": {map[string]error{"taken": ErrBusy}, nil, "", ErrBusy.Error()},
	} {
		host, pod := &answers{found: map[string]int{"b": 4}, to: tc.host}, &answers{to: tc.pod}
		err := (&Mover{Host: host}).dropTakenAltnames(pod, 3, Snapshot{Altnames: []string{"a", "b", "c"}})
		if pod.log() != tc.asked || errorText(err) != tc.want {
			t.Errorf("%s: asked for %s: %v", name, pod.log(), err)
		}
	}
}

// A guard counts as dropped where its name is free, whatever the answer was.
func TestDropGuard(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		guard       bool
		pod         answers
		asked, want string
	}{
		"none":               {false, answers{}, "", ""},
		"dropped":            {true, answers{}, "drop altname eth1", ""},
		"gone":               {true, answers{to: map[string]error{"drop altname": ErrNotFound}}, "drop altname eth1", ""},
		"refused, and free":  {true, answers{to: map[string]error{"drop altname": ErrBusy}}, "drop altname eth1, taken eth1", ""},
		"refused, and taken": {true, answers{found: map[string]int{"eth1": 1}, to: map[string]error{"drop altname": ErrBusy}}, "drop altname eth1, taken eth1", ErrBusy.Error()},
		"refused, not known": {true, answers{to: map[string]error{"drop altname": ErrBusy, "taken": ErrExists}}, "drop altname eth1, taken eth1", ErrBusy.Error()},
	} {
		a := &Attachment{Guard: tc.guard, Before: Snapshot{Name: "eth1"}}
		err := dropGuard(&tc.pod, a)
		if tc.pod.log() != tc.asked || (err == nil) != (tc.want == "") || !strings.HasSuffix(errorText(err), tc.want) || a.Guard != (err != nil) {
			t.Errorf("%s: asked for %s: %v, guarded: %v", name, tc.pod.log(), err, a.Guard)
		}
	}
	if a := (&Attachment{Guard: true, Before: Snapshot{Name: "eth1"}}); dropGuard(nil, a) != nil || !a.Guard {
		t.Error("a guard is dropped without a pod")
	}
}
