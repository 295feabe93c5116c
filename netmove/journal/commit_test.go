package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// begin opens a journal with one record.
func begin(t *testing.T, state string, r *Record) *Journal {
	t.Helper()
	j, _ := open(t, state)
	mustBegin(t, j, r)
	return j
}

func mustBegin(t *testing.T, j *Journal, r *Record) {
	t.Helper()
	if err := j.Begin(r, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
}

func attached(r *Record) *Record {
	c := *r
	c.State, c.Committed = Attached, true
	return &c
}

func published(t *testing.T, j *Journal, sandbox string) State {
	t.Helper()
	r, ok := j.Get(sandbox)
	if !ok {
		return ""
	}
	return r.State
}

// onDisk is what the next process would read.
func onDisk(t *testing.T, state, sandbox string) State {
	t.Helper()
	records, err := Read(state, boot)
	if err != nil {
		t.Error(err)
	}
	return published(t, Of(records), sandbox)
}

// What is committed is on disk at once, and published when it is time.
func TestCommit(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000)
	j := begin(t, state, r)
	look := j.Homecomings()
	publish, err := j.Commit(attached(r))
	if err != nil {
		t.Fatal(err)
	}
	if got := published(t, j, "a"); got != Attaching {
		t.Errorf("published before its time: %q", got)
	}
	if got := onDisk(t, state, "a"); got != Attached {
		t.Errorf("on disk is %q", got)
	}
	if saved, err := j.Save(); len(saved) > 0 || err != nil {
		t.Errorf("saved %v, %v", saved, err)
	}
	if j.Homecomings() != look {
		t.Error("a change that nobody sees counts")
	}
	publish()
	if got := published(t, j, "a"); got != Attached {
		t.Errorf("published is %q", got)
	}
	if j.Homecomings() == look {
		t.Error("the change does not count")
	}
	look = j.Homecomings()
	publish()
	if j.Homecomings() != look {
		t.Error("the second publication counts")
	}
}

// A commit is in time only for the record that it was made for.
func TestCommitOverridden(t *testing.T) {
	for name, override := range map[string]struct {
		by              func(*Journal, *Record) error
		published, disk State
	}{
		"put": {func(j *Journal, r *Record) error {
			r.State = Returning
			return j.Put(r)
		}, Returning, Returning},
		"put of what is published": {func(j *Journal, r *Record) error { return j.Put(r) }, Attaching, Attaching},
		"remove":                   {func(j *Journal, r *Record) error { return j.Remove(r.Sandbox) }, "", ""},
		"removed and begun": {func(j *Journal, r *Record) error {
			return errors.Join(j.Remove(r.Sandbox), j.Begin(r, j.Homecomings()))
		}, Attaching, Attaching},
		"commit": {func(j *Journal, r *Record) error {
			r.State = Returning
			_, err := j.Commit(r)
			return err
		}, Attaching, Returning},
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			r := record("a", 1000)
			j := begin(t, state, r)
			publish, err := j.Commit(attached(r))
			if err != nil {
				t.Fatal(err)
			}
			if err := override.by(j, r); err != nil {
				t.Fatal(err)
			}
			publish()
			if got := published(t, j, "a"); got != override.published {
				t.Errorf("published is %q, want %q", got, override.published)
			}
			if got := onDisk(t, state, "a"); got != override.disk {
				t.Errorf("on disk is %q, want %q", got, override.disk)
			}
		})
	}
}

// Between a commit and its publication other sandboxes change.
func TestCommitBesideOthers(t *testing.T) {
	a, b := record("a", 1000), record("b", 1001)
	j := begin(t, t.TempDir(), a)
	mustBegin(t, j, b)
	publish, err := j.Commit(attached(a))
	if err != nil {
		t.Fatal(err)
	}
	b.State = Returning
	if err := j.Put(b); err != nil {
		t.Fatal(err)
	}
	mustBegin(t, j, record("c", 1002))
	publish()
	for sandbox, want := range map[string]State{"a": Attached, "b": Returning, "c": Attaching} {
		if got := published(t, j, sandbox); got != want {
			t.Errorf("%s is %q, want %q", sandbox, got, want)
		}
	}
}

func TestCommitOfNothing(t *testing.T) {
	j, _ := open(t, t.TempDir())
	if _, err := j.Commit(record("a", 1000)); err == nil {
		t.Error("a sandbox without a record is committed")
	}
}

// A record that is published and on disk is not written again, and does not count.
func TestPutOfTheSame(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000)
	j := begin(t, state, r)
	path := filepath.Join(state, recordsFolder, "a.json")
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	look := j.Homecomings()
	if err := j.Put(r); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("written again")
	}
	if j.Homecomings() != look {
		t.Error("a change is counted")
	}
	r.Problems = map[string]Problem{"eth1": {Misnamed: true, Text: "its name is taken"}}
	if err := j.Put(r); err != nil {
		t.Fatal(err)
	}
	if j.Homecomings() == look {
		t.Error("no change is counted")
	}
	if err := j.Begin(record("b", 1001), look); !errors.Is(err, ErrStale) {
		t.Errorf("error is %v, want ErrStale", err)
	}
}
