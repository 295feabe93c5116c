package netmove

import (
	"log/slog"
	"strings"
	"testing"
)

// A queue that a process holds is none of the programs that a pod may want to be without.
func TestTunQueueIsNoProgram(t *testing.T) {
	t.Parallel()
	queue, xdp := Program{Hook: TunQueue, ID: 1}, Program{Hook: XDPGeneric, ID: 7}
	list := detached(Request{DetachBPF: true}, []Program{queue, xdp})
	if list[0].Detached || !list[1].Detached {
		t.Errorf("taken off are %+v", list)
	}
	if text := queue.String(); !strings.Contains(text, "process") || strings.Contains(xdp.String(), "process") {
		t.Errorf("%q and %q", text, xdp)
	}
}

// A program of the host's that is not there is told, if that is known, unless it was taken off
// for the pod: then it is put back.
func TestReattach(t *testing.T) {
	t.Parallel()
	kept, off := Program{Hook: TCXIngress, ID: 8}, Program{Hook: TCXIngress, ID: 8, Detached: true}
	queue := Program{Hook: TunQueue, ID: 1}
	for name, tc := range map[string]struct {
		was          Program
		now          seen
		answer       error
		put, told    bool // told: that it is gone
		unseen, left bool
	}{
		"there":                  {was: kept, now: seen{programs: []Program{kept}}},
		"removed":                {was: kept, told: true},
		"not seen":               {was: kept, now: seen{unseen: ErrUnseen}, unseen: true},
		"a queue":                {was: queue},
		"taken off":              {was: off, put: true},
		"taken off, and unseen":  {was: off, now: seen{unseen: ErrUnseen}, put: true, unseen: true},
		"taken off, and lost":    {was: off, answer: ErrNotFound, put: true, told: true},
		"taken off, and refused": {was: off, answer: ErrBusy, put: true, left: true},
	} {
		var log strings.Builder
		host := &answers{to: map[string]error{"reattach": tc.answer}}
		m := &Mover{Host: host, Log: slog.New(slog.NewTextHandler(&log, nil))}
		left := m.reattach(Snapshot{}, Snapshot{Programs: []Program{tc.was}}, tc.now)
		if (len(host.asked) > 0) != tc.put || (len(left) > 0) != tc.left {
			t.Errorf("%s: asked for %s, left %v", name, host.log(), left)
		}
		if strings.Contains(log.String(), "is gone") != tc.told || strings.Contains(log.String(), "may still be") != tc.unseen {
			t.Errorf("%s: told %s", name, log.String())
		}
	}
}

// Programs of the pod's go, and what cannot be seen or stays is told as what taints the device.
func TestDetachAtHome(t *testing.T) {
	t.Parallel()
	own, theirs := Program{Hook: XDPDriver, ID: 7}, Program{Hook: TCXIngress, ID: 66}
	for name, tc := range map[string]struct {
		looks       [][]Program
		to          map[string]error
		asked, want string
		unseen      bool
	}{
		"none":               {[][]Program{{own}}, nil, "programs", "", false},
		"gone":               {[][]Program{{own, theirs}, {own}}, nil, "programs, detach 66, programs", "", false},
		"gone, and refused":  {[][]Program{{own, theirs}, {own}}, map[string]error{"detach": ErrBusy}, "programs, detach 66, programs", "", false},
		"stays":              {[][]Program{{theirs}, {theirs}}, map[string]error{"detach": ErrBusy}, "programs, detach 66, programs", ErrTainted.Error() + ": [tcx ingress program 66]: " + ErrBusy.Error(), false},
		"unseen":             {[][]Program{{own}}, map[string]error{"programs": ErrUnseen}, "programs", "", true},
		"not looked at":      {[][]Program{{own}}, map[string]error{"programs": ErrBusy}, "programs", ErrTainted.Error() + ": look for programs: " + ErrBusy.Error(), false},
		"not looked at then": {[][]Program{{theirs}, {}}, map[string]error{"programs again": ErrBusy}, "programs, detach 66, programs", ErrTainted.Error() + ": look for programs again: " + ErrBusy.Error(), false},
	} {
		host := &answers{programs: tc.looks, to: tc.to}
		m := &Mover{Host: host, Log: slog.New(slog.DiscardHandler)}
		now, err := m.detach(Snapshot{}, Snapshot{Programs: []Program{own}})
		if errorText(err) != tc.want || host.log() != tc.asked || (now.unseen != nil) != tc.unseen {
			t.Errorf("%s: asked for %s: %v, %v", name, host.log(), now, err)
		}
	}
	s := Snapshot{Programs: []Program{own}}
	queue := Program{Hook: TunQueue, ID: 1}
	if got := s.foreign([]Program{own, queue, theirs}); len(got) != 1 || got[0] != theirs {
		t.Errorf("foreign to an older record are %v", got)
	}
	s.Parts = AllParts
	if got := s.foreign([]Program{own, queue, theirs}); len(got) != 2 {
		t.Errorf("foreign are %v", got)
	}
}

// That programs cannot be seen is told also if some are left that can.
func TestCheckDetached(t *testing.T) {
	t.Parallel()
	xdp := Program{Hook: XDPDriver, ID: 7}
	for name, tc := range map[string]struct {
		left   []Program
		answer error
		want   string
	}{
		"none":            {nil, nil, ""},
		"a queue":         {[]Program{{Hook: TunQueue, ID: 1}}, nil, ""},
		"one":             {[]Program{xdp}, nil, "[xdp driver program 7] could not be taken off"},
		"unseen":          {nil, ErrUnseen, ErrUnseen.Error()},
		"one, and unseen": {[]Program{xdp}, ErrUnseen, ErrUnseen.Error()},
	} {
		pod := &answers{programs: [][]Program{tc.left}, to: map[string]error{"programs": tc.answer}}
		if got := errorText((&Attachment{}).checkDetached(pod)); got != tc.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
