package journal

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// reservation is one of claim c for the pod with that UID.
func reservation(c, pod string, inodes ...uint64) *Reservation {
	r := &Reservation{
		Claim: Claim{UID: c, Namespace: "default", Name: "claim-" + c},
		Pod:   Pod{Namespace: "default", Name: "pod-" + pod, UID: pod},
		Since: time.Unix(1700000000, 0).UTC(),
	}
	for _, inode := range inodes {
		a := record("x", inode).Devices[0]
		r.Devices = append(r.Devices, Reserved{
			Request: "nic", Pool: "node", Device: "pci-0000-02-00-0", CDI: c + "-nic",
			HostName: "eth1", Identity: a.Before.Identity, Wish: a.Request,
		})
	}
	return r
}

// of is a record of the pod with that UID.
func of(r *Record, pod string) *Record {
	r.Pod.UID = pod
	return r
}

// A reservation is published and on disk as it was asked for, and read after a restart.
func TestReserve(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	r := reservation("c", "p", 1000, 1001)
	if err := j.Reserve(r, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	if err := j.Reserve(r, j.Homecomings()); !errors.Is(err, ErrReserved) {
		t.Errorf("twice: %v", err)
	}
	again, problems := open(t, state)
	if len(problems) > 0 {
		t.Error(problems)
	}
	for _, j := range []*Journal{j, again} {
		got := j.Reserved("p")
		if len(got) != 1 || len(j.Reserved("q")) != 0 {
			t.Fatalf("reserved for the pod: %v", got)
		}
		want := *r
		want.Version, want.BootID = reservationVersion, boot
		if diff := cmp.Diff(&want, got[0], cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if one, ok := j.Reservation("c"); !ok || one != got[0] || j.ReservedFor(r.Devices[1].Identity) != one {
			t.Error("not found by the claim or by the device")
		}
	}
	for range 2 {
		if err := again.Unreserve("c"); err != nil {
			t.Error(err)
		}
	}
	if last, _ := open(t, state); len(last.Reservations())+len(again.Reservations()) != 0 {
		t.Error("the reservation is left")
	}
}

// Invariant: a device is in at most one record. A reservation keeps it for its pod alone.
func TestReservationConflicts(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(j *Journal) error
		want string // "" for success
	}{
		{"another claim", func(j *Journal) error {
			return j.Reserve(reservation("d", "q", 1000), j.Homecomings())
		}, `device "eth1" is reserved for pod default/pod-p by a resource claim`},
		{"another claim of the pod", func(j *Journal) error {
			return j.Reserve(reservation("d", "p", 1000), j.Homecomings())
		}, `device "eth1" is reserved for pod default/pod-p`},
		{"another device", func(j *Journal) error {
			return j.Reserve(reservation("d", "q", 1001), j.Homecomings())
		}, ""},
		{"another pod", func(j *Journal) error {
			return j.Begin(of(record("a", 1000), "q"), j.Homecomings())
		}, `device "eth1" is reserved for pod default/pod-p`},
		{"the pod", func(j *Journal) error {
			r := of(record("a", 1000), "p")
			r.Claims = []string{"c"}
			return j.Begin(r, j.Homecomings())
		}, ""},
		{"a claim that is not prepared", func(j *Journal) error {
			r := of(record("a", 1001), "p")
			r.Claims = []string{"d"}
			return j.Begin(r, j.Homecomings())
		}, "claim d is not prepared any more"},
		{"a claim of another pod", func(j *Journal) error {
			r := of(record("a", 1001), "q")
			r.Claims = []string{"c"}
			return j.Begin(r, j.Homecomings())
		}, "claim c is not prepared any more"},
		{"an older look", func(j *Journal) error {
			return j.Reserve(reservation("d", "q", 1001), j.Homecomings()+1)
		}, ErrStale.Error()},
		{"no UID", func(j *Journal) error {
			return j.Reserve(reservation("../d", "q", 1001), j.Homecomings())
		}, `"../d" is no UID of a claim`},
	} {
		j, _ := open(t, t.TempDir())
		if err := j.Reserve(reservation("c", "p", 1000), 0); err != nil {
			t.Fatal(err)
		}
		err := tc.do(j)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: error is %v, want %s", tc.name, err, tc.want)
		}
	}
}

// What a sandbox has is not reserved, also while only the disk knows of it.
func TestReserveInUse(t *testing.T) {
	j, _ := open(t, t.TempDir())
	if err := j.Begin(record("a", 1000), 0); err != nil {
		t.Fatal(err)
	}
	err := j.Reserve(reservation("c", "p", 1000), j.Homecomings())
	if e, ok := errors.AsType[*InUseError](err); !ok || e.Reserved || e.Holder != "pod default/pod-a" {
		t.Errorf("error is %v", err)
	}
}

// A claim is let go of when its devices are home, or will not come.
func TestUnreserveWaits(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*Record)
		want string // "" for success
	}{
		"attaching": {func(*Record) {}, `device "eth1" is not home yet: pod default/pod-a has it`},
		"attached":  {func(r *Record) { r.State = Attached }, "not home yet"},
		"returning": {func(r *Record) {
			r.State, r.Problems = Returning, map[string]Problem{"eth1": {Text: "busy"}}
		}, `device "eth1" is not home yet from pod default/pod-a: busy`},
		"misnamed": {func(r *Record) {
			r.State, r.Problems = Returning, map[string]Problem{"eth1": {Misnamed: true, Text: "taken"}}
		}, ""},
		"quarantined": {func(r *Record) { r.State, r.Quarantined, r.Devices = Quarantined, r.Devices, nil }, ""},
		"lost":        {func(r *Record) { r.State, r.Lost, r.Devices = Lost, r.Devices, nil }, ""},
	} {
		j, _ := open(t, t.TempDir())
		r := of(record("a", 1000), "p")
		r.Claims = []string{"c"}
		if err := errors.Join(j.Reserve(reservation("c", "p", 1000), 0), j.Begin(r, 0)); err != nil {
			t.Fatal(err)
		}
		tc.edit(r)
		if err := j.Put(r); err != nil {
			t.Fatal(err)
		}
		err := j.Unreserve("c")
		_, left := j.Reservation("c")
		if tc.want == "" && (err != nil || left) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !left) {
			t.Errorf("%s: error is %v, want %s; the reservation is left: %v", name, err, tc.want, left)
		}
	}
}

// Each operation on files fails: what was not reserved is not there after a restart, and
// what was not let go of is there.
func TestReserveFails(t *testing.T) {
	for step := 1; ; step++ {
		state := t.TempDir()
		j, _ := open(t, state)
		f := faulty(j)
		f.fails = at(step, false)
		err := j.Reserve(reservation("c", "p", 1000), 0)
		f.fails = nil
		if len(f.met) == 0 {
			if step < 6 {
				t.Errorf("only %d operations", step-1)
			}
			break
		}
		again, _ := open(t, state)
		if err == nil || len(j.Reservations()) != 0 || len(again.Reservations()) != 0 {
			t.Errorf("%q: error is %v, reserved are %v, on disk %v", f.met, err, j.Reservations(), again.Reservations())
		}
		if err := j.Reserve(reservation("d", "q", 1000), 0); err != nil {
			t.Errorf("%q: the device is not free: %v", f.met, err)
		}
	}
	for step := 1; ; step++ {
		j, _ := open(t, t.TempDir())
		if err := j.Reserve(reservation("c", "p", 1000), 0); err != nil {
			t.Fatal(err)
		}
		f := faulty(j)
		f.fails = at(step, false)
		err := j.Unreserve("c")
		f.fails = nil
		if len(f.met) == 0 {
			if step < 3 {
				t.Errorf("only %d operations", step-1)
			}
			break
		}
		if err == nil || len(j.Reservations()) != 1 {
			t.Errorf("%q: error is %v, reserved are %v", f.met, err, j.Reservations())
		}
		if err := j.Unreserve("c"); err != nil {
			t.Errorf("%q: again: %v", f.met, err)
		}
	}
}

// Somebody removes the folder: it is written again.
func TestReservationsSaved(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	if err := j.Reserve(reservation("c", "p", 1000), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Save(); err != nil {
		t.Error(err)
	}
	if again, _ := open(t, state); len(again.Reservations()) != 1 {
		t.Error("it is not on disk")
	}
}

// Files that are no reservations of this boot are set aside, one of a newer program keeps
// this one from starting, and what a crash has left is removed.
func TestReadReservations(t *testing.T) {
	for name, tc := range map[string]struct {
		file, text string
		problem    string // "": the journal does not open
	}{
		"torn":         {"c.json", `{"version": 1, "bootID": "boot-1", "cla`, "is not a reservation"},
		"other type":   {"c.json", `{"version": 1, "bootID": "boot-1", "devices": 7}`, "is not a reservation"},
		"earlier boot": {"c.json", `{"version": 1, "bootID": "boot-0", "claim": {"uid": "c"}}`, "of an earlier boot"},
		"other claim":  {"c.json", `{"version": 1, "bootID": "boot-1", "claim": {"uid": "d"}}`, `reservation of claim "d"`},
		"no version":   {"c.json", `{"bootID": "boot-1", "claim": {"uid": "c"}}`, "there is none below 1"},
		"newer":        {"c.json", `{"version": 2, "bootID": "boot-1", "claim": {"uid": "c"}}`, ""},
	} {
		state := t.TempDir()
		folder := filepath.Join(state, "claims")
		err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(filepath.Join(folder, tc.file), []byte(tc.text), 0o600),
			os.WriteFile(filepath.Join(folder, ".c.json12"), nil, 0o600))
		if err != nil {
			t.Fatal(err)
		}
		j, problems, err := Open(state, boot)
		if tc.problem == "" {
			if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "up to 1") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0].Error(), tc.problem) || len(j.Reservations()) != 0 {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
		if left, _ := os.ReadDir(folder); len(left) != 0 {
			t.Errorf("%s: left are %v", name, left)
		}
	}
}

// A reservation that cannot be read may be one with devices: nothing starts without it.
func TestReservationUnreadable(t *testing.T) {
	j := newJournal(t.TempDir(), boot)
	j.sleep = func(time.Duration) {}
	f := faulty(j)
	f.fails = func(op, path string) bool { return op == "read folder" && path == j.claims }
	if _, err := j.open(); !errors.Is(err, ErrUnreadable) {
		t.Errorf("error is %v", err)
	}
}

// Every change of what is published is told.
func TestChanged(t *testing.T) {
	j, _ := open(t, t.TempDir())
	for name, change := range map[string]func() error{
		"reserve": func() error { return j.Reserve(reservation("c", "p", 1000), j.Homecomings()) },
		"begin":   func() error { return j.Begin(record("a", 1001), j.Homecomings()) },
	} {
		changed := j.Changed()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		default:
			t.Errorf("%s is not told", name)
		}
	}
}
