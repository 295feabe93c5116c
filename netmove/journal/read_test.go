package journal

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// TestMain puts the folders of tests on a tmpfs where there is one, as a node has them.
func TestMain(m *testing.M) {
	if os.Getenv("JOURNAL_STATE") != "" {
		os.Exit(m.Run()) // it cannot remove what it makes
	}
	if dir, err := os.MkdirTemp("/dev/shm", "journal"); err == nil {
		_ = os.Setenv("TMPDIR", dir)
		code := m.Run()
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// impatient is a journal that does not pause between its tries.
func impatient(state string) *Journal {
	j := newJournal(state, boot)
	j.sleep = func(time.Duration) {}
	return j
}

// tree lists all files below a folder.
func tree(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path != folder {
			names = append(names, strings.TrimPrefix(path, folder+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func write(t *testing.T, data string, path ...string) {
	t.Helper()
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unreadable is a state folder with a record, something that is none, and a temporary file.
func unreadable(t *testing.T) (state string) {
	t.Helper()
	state = t.TempDir()
	mustBegin(t, begin(t, state, record("a", 1000)), record("b", 1001))
	write(t, "{", state, recordsFolder, "torn.json")
	write(t, "{", state, recordsFolder, ".a.json1")
	return state
}

// What cannot be read at first is read in the end.
func TestOpenTriesAgain(t *testing.T) {
	for name, f := range map[string]func(j *Journal, fail func() error){
		"file": func(j *Journal, fail func() error) {
			j.files.readFile = func(path string) ([]byte, error) {
				if filepath.Base(path) == "a.json" && fail() != nil {
					return nil, &os.PathError{Op: "read", Path: path, Err: syscall.ENFILE}
				}
				return os.ReadFile(path)
			}
		},
		"folder": func(j *Journal, fail func() error) {
			j.files.readDir = func(path string) ([]os.DirEntry, error) {
				entries, err := os.ReadDir(path)
				if filepath.Base(path) == recordsFolder && fail() != nil {
					return entries[:1], &os.PathError{Op: "read", Path: path, Err: syscall.EIO}
				}
				return entries, err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := impatient(unreadable(t))
			tries := 0
			f(j, func() error {
				if tries++; tries < len(j.pauses)+1 {
					return syscall.EIO
				}
				return nil
			})
			problems, err := j.open()
			if err != nil || len(problems) != 1 || len(j.All()) != 2 {
				t.Errorf("%v, problems %v, records %v", err, problems, j.All())
			}
		})
	}
}

// Invariant: what could not be read is never set aside. The start fails, and nothing is changed.
func TestOpenUnreadable(t *testing.T) {
	state := unreadable(t)
	before := tree(t, state)
	j := impatient(state)
	tries := 0
	var pauses []time.Duration
	j.sleep = func(pause time.Duration) { pauses = append(pauses, pause) }
	j.files.readFile = func(path string) ([]byte, error) {
		if filepath.Base(path) == "a.json" {
			tries++
			return nil, &os.PathError{Op: "read", Path: path, Err: syscall.EIO}
		}
		return os.ReadFile(path)
	}
	_, err := j.open()
	if !errors.Is(err, ErrUnreadable) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), filepath.Join(state, recordsFolder, "a.json")) {
		t.Errorf("error is %v", err)
	}
	if !slices.Equal(pauses, j.pauses) || tries != len(pauses)+1 {
		t.Errorf("%d tries with pauses %v, want one more than %v", tries, pauses, j.pauses)
	}
	if after := tree(t, state); !slices.Equal(before, after) {
		t.Errorf("files were\n%q\nare\n%q", before, after)
	}
	records, err := j.look()
	if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "torn.json") {
		t.Errorf("who looks is told %v", err)
	}
	if len(records) != 1 || records[0].Sandbox != "b" {
		t.Errorf("who looks gets %v", records)
	}
	if after := tree(t, state); !slices.Equal(before, after) {
		t.Errorf("a look changed files:\n%q\n%q", before, after)
	}
}

// A record of a newer program does not become readable by waiting.
func TestNewerIsNotTriedAgain(t *testing.T) {
	state := t.TempDir()
	write(t, `{"version": 3, "bootID": "boot-1"}`, state, recordsFolder, "a.json")
	j := impatient(state)
	tries := 0
	j.files.readFile = func(path string) ([]byte, error) {
		tries++
		return os.ReadFile(path)
	}
	if _, err := j.open(); !errors.Is(err, ErrVersion) || tries != 1 {
		t.Errorf("error after %d tries is %v", tries, err)
	}
}

// The pauses are there, and together short enough for a start.
func TestPauses(t *testing.T) {
	var all time.Duration
	for _, pause := range newJournal("", boot).pauses {
		if pause <= 0 {
			t.Errorf("a pause of %v", pause)
		}
		all += pause
	}
	if all < 500*time.Millisecond || all > time.Second {
		t.Errorf("all pauses are %v", all)
	}
}

// In a process of its own: real faults, which go away.
func TestOpenRealFaults(t *testing.T) {
	if state := os.Getenv("JOURNAL_STATE"); state != "" {
		t.Run("descriptors", func(t *testing.T) { outOfDescriptors(t, state) })
		t.Run("permission", func(t *testing.T) { notPermitted(t, state) })
		return
	}
	state := unreadable(t)
	if os.Getuid() == 0 {
		for dir := state; dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(os.TempDir(), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range append(tree(t, state), ".") {
			if err := os.Chown(filepath.Join(state, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOpenRealFaults$", "-test.v")
	cmd.Env = append(os.Environ(), "JOURNAL_STATE="+state)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: TestOpenRealFaults/") != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	if j, problems := open(t, state); len(j.All()) != 2 || len(problems) != 1 {
		t.Errorf("records %v, problems %v", j.All(), problems)
	}
}

const nobody = 65534

func outOfDescriptors(t *testing.T, state string) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	next := null.Fd()
	null.Close()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = uint64(next)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, err = impatient(state).open()
	if err2 := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err2 != nil {
		t.Fatal(err2)
	}
	if !errors.Is(err, ErrUnreadable) || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("error is %v", err)
	}
}

func notPermitted(t *testing.T, state string) {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(state, recordsFolder, "a.json")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	before := tree(t, state)
	_, err := impatient(state).open()
	if !errors.Is(err, ErrUnreadable) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
	if after := tree(t, state); !slices.Equal(before, after) {
		t.Errorf("files were\n%q\nare\n%q", before, after)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is no regular file is no record, and is set aside as it is.
func TestNoRegularFile(t *testing.T) {
	state := t.TempDir()
	begin(t, state, record("good", 1000))
	folder := filepath.Join(state, recordsFolder)
	elsewhere := filepath.Join(t.TempDir(), "x")
	if err := errors.Join(
		os.Mkdir(filepath.Join(folder, "folder.json"), 0o700),
		os.Symlink("nowhere", filepath.Join(folder, "dangling.json")),
		os.Symlink(elsewhere, filepath.Join(folder, "link.json")),
		syscall.Mkfifo(filepath.Join(folder, "fifo.json"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	write(t, "{}", folder, "folder.json", "in it")
	write(t, "{}", elsewhere)
	if _, err := Read(state, boot); err == nil || !strings.Contains(err.Error(), "fifo.json") {
		t.Errorf("who looks is told %v", err)
	}
	j, problems := open(t, state)
	if len(problems) != 4 || len(j.All()) != 1 {
		t.Errorf("records %v, problems %v", j.All(), problems)
	}
	for _, sandbox := range []string{"folder", "dangling", "link", "fifo"} {
		if !j.WasSetAside(sandbox) {
			t.Errorf("%s was not set aside", sandbox)
		}
	}
	if _, err := os.Stat(filepath.Join(state, setAsideFolder, boot, "folder.json", "in it")); err != nil {
		t.Error(err)
	}
}

// A file that is removed while the folder is read is no reason not to start.
func TestRemovedMeanwhile(t *testing.T) {
	state := unreadable(t)
	j := impatient(state)
	j.files.readFile = func(path string) ([]byte, error) {
		if filepath.Base(path) == "a.json" {
			_ = os.Remove(path)
		}
		return os.ReadFile(path)
	}
	if _, err := j.open(); err != nil || len(j.All()) != 1 {
		t.Errorf("error is %v, records %v", err, j.All())
	}
}

func TestReadNothing(t *testing.T) {
	if records, err := Read(filepath.Join(t.TempDir(), "none"), boot); len(records) > 0 || err != nil {
		t.Errorf("records %v, %v", records, err)
	}
}

// The folder cannot be made: there is a file in its place.
func TestOpenNoFolder(t *testing.T) {
	state := t.TempDir()
	write(t, "", state, recordsFolder)
	if _, _, err := Open(state, boot); !errors.Is(err, syscall.ENOTDIR) || errors.Is(err, ErrUnreadable) {
		t.Errorf("error is %v", err)
	}
}

// Devices with the same sysctls share one map of them.
func TestShare(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000, 1001, 1002)
	r.Lost, r.Devices = r.Devices[2:], r.Devices[:2]
	r.Devices[1].Before.Sysctls = map[string]string{"ipv4/conf/arp_ignore": "9"}
	begin(t, state, r)
	j, _ := open(t, state)
	got, _ := j.Get("a")
	for i, want := range []string{"0", "9"} {
		if got := got.Devices[i].Before.Sysctls["ipv4/conf/arp_ignore"]; got != want {
			t.Errorf("device %d has %q, want %q", i, got, want)
		}
	}
	if got := got.Lost[0].Before.Sysctls["ipv4/conf/arp_ignore"]; got != "0" {
		t.Errorf("the lost device has %q", got)
	}
	r, other := record("b", 1003, 1004), record("c", 1005)
	mustBegin(t, j, r)
	mustBegin(t, j, other)
	j, _ = open(t, state)
	b, _ := j.Get("b")
	c, _ := j.Get("c")
	one := reflect.ValueOf(b.Devices[0].Before.Sysctls).Pointer()
	for _, a := range []netmove.Attachment{b.Devices[1], c.Devices[0]} {
		if reflect.ValueOf(a.Before.Sysctls).Pointer() != one {
			t.Error("equal sysctls are kept twice")
		}
	}
}

// A record of the first version is read, and is one whose snapshots have no parts.
func TestOldestRecord(t *testing.T) {
	state := t.TempDir()
	write(t, `{"version": 1, "bootID": "boot-1", "sandbox": "a", "state": "attached", "devices": [{"request": {}, "podName": "net1",
		"before": {"identity": {"inode": 7, "index": 3}, "name": "eth1", "alias": "rack 3", "mtu": 1500, "txQueueLen": 0,
		"flags": {"up": true, "multicast": false}, "takenAt": "1s"}}]}`, state, recordsFolder, "a.json")
	j, _, err := Open(state, boot)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := j.Get("a")
	if !ok || len(r.Devices) != 1 || r.Devices[0].Before.Alias != "rack 3" || r.Devices[0].Before.Parts != 0 {
		t.Errorf("read %+v, %v", r, ok)
	}
}
