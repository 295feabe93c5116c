package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A sandbox of an earlier boot needs nothing any more; one whose file says nothing may, until
// the node boots.
func TestWasSetAside(t *testing.T) {
	state := t.TempDir()
	write(t, "{", state, recordsFolder, "torn.json")
	write(t, `{"version": 1, "bootID": "boot-0", "sandbox": "old"}`, state, recordsFolder, "old.json")
	write(t, `{"version": 1, "bootID": "../x", "sandbox": "odd"}`, state, recordsFolder, "odd.json")
	write(t, `{"version": 1, "sandbox": "none"}`, state, recordsFolder, "none.json")
	for try := range 2 { // the second one is a restart
		j, _ := open(t, state)
		for sandbox, want := range map[string]bool{"torn": true, "old": false, "odd": true, "none": true, "other": false} {
			if got := j.WasSetAside(sandbox); got != want {
				t.Errorf("start %d: %s was set aside: %v, want %v", try, sandbox, got, want)
			}
		}
		if got := j.SetAside(); got != 4*(1-try) {
			t.Errorf("start %d: %d were set aside", try, got)
		}
	}
	next, problems, err := Open(state, "boot-2")
	if err != nil || len(problems) > 0 || next.WasSetAside("torn") {
		t.Errorf("after the next boot: %v, %v, or torn is still known", err, problems)
	}
}

// When it cannot be told, the file may have been set aside.
func TestWasSetAsideUnknown(t *testing.T) {
	state := t.TempDir()
	write(t, "", state, setAsideFolder)
	j, problems := open(t, state)
	if len(problems) != 1 {
		t.Errorf("problems: %v", problems)
	}
	if !j.WasSetAside("a") {
		t.Error("nothing was set aside, so it says")
	}
}

// Of earlier boots the last one's files are kept, and all of this one.
func TestSetAsideIsBounded(t *testing.T) {
	state := t.TempDir()
	aside := filepath.Join(state, setAsideFolder)
	for i, of := range []string{"boot-c", "boot-a", "boot-b"} {
		write(t, "{", aside, of, "x.json")
		at := time.Unix(int64(1000+i), 0)
		if err := os.Chtimes(filepath.Join(aside, of), at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "{", aside, boot, "x.json")
	if err := os.Chtimes(filepath.Join(aside, boot), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, problems := open(t, state); len(problems) > 0 {
		t.Error(problems)
	}
	want := []string{"boot-1", "boot-1/x.json", "boot-b", "boot-b/x.json"}
	if got := tree(t, aside); !slices.Equal(got, want) {
		t.Errorf("set aside are %q, want %q", got, want)
	}
	// What is set aside now is of the last boot, whenever that was.
	write(t, `{"bootID": "boot-0"}`, state, recordsFolder, "y.json")
	open(t, state)
	want = []string{"boot-0", "boot-0/y.json", "boot-1", "boot-1/x.json"}
	if got := tree(t, aside); !slices.Equal(got, want) {
		t.Errorf("set aside are %q, want %q", got, want)
	}
}

// A program that knew no boots set files aside: they may be of this one.
func TestSetAsideBefore(t *testing.T) {
	state := t.TempDir()
	write(t, "{", state, setAsideFolder, "x.json")
	for range 2 {
		j, problems := open(t, state)
		if len(problems) > 0 || !j.WasSetAside("x") {
			t.Errorf("problems %v, or x is not known", problems)
		}
	}
	if got := tree(t, filepath.Join(state, setAsideFolder)); !slices.Equal(got, []string{boot, boot + "/x.json"}) {
		t.Errorf("set aside are %q", got)
	}
}

// What cannot be set aside stays, and is told at every start.
func TestCannotSetAside(t *testing.T) {
	state := t.TempDir()
	write(t, "{", state, recordsFolder, "torn.json")
	write(t, "", state, setAsideFolder, boot, "torn.json", "in the way")
	for range 2 {
		_, problems := open(t, state)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), "is not a record") || !strings.Contains(problems[0].Error(), "rename") {
			t.Errorf("problems: %v", problems)
		}
	}
	write(t, "", state, "file")
	j := newJournal(state, boot)
	j.aside = filepath.Join(state, "file")
	if problems, err := j.open(); err != nil || len(problems) != 2 || !strings.Contains(problems[0].Error(), "mkdir") {
		t.Errorf("%v, problems %v", err, problems)
	}
}

// What cannot be moved or looked at in the folder set-aside is told, and the start goes on.
func TestCannotPrune(t *testing.T) {
	state := t.TempDir()
	write(t, "{", state, setAsideFolder, "x.json")
	write(t, "{", state, setAsideFolder, "boot-a", "x.json")
	j := newJournal(state, boot)
	j.files.readDir = func(folder string) ([]os.DirEntry, error) {
		entries, err := os.ReadDir(folder)
		if folder == j.aside {
			entries[0] = gone{entries[0]}
		}
		return entries, err
	}
	j.files.rename = func(from, to string) error {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: syscall.EIO}
	}
	problems, err := j.open()
	if err != nil || len(problems) != 2 || !errors.Is(problems[0], fs.ErrNotExist) || !errors.Is(problems[1], syscall.EIO) {
		t.Errorf("%v, problems %v", err, problems)
	}
}

// gone is an entry of a folder that was removed after it was listed.
type gone struct{ os.DirEntry }

func (gone) Info() (fs.FileInfo, error) { return nil, fs.ErrNotExist }
