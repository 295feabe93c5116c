package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// fault lets operations on files fail.
type fault struct {
	fails func(op, path string) bool
	late  bool     // the operation is done nevertheless
	met   []string // operations that failed
}

func (f *fault) do(op, path string, work func() error) error {
	if f.fails == nil || !f.fails(op, path) {
		return work()
	}
	f.met = append(f.met, op)
	if f.late {
		_ = work()
	}
	return &os.PathError{Op: op, Path: path, Err: syscall.EIO}
}

// at lets the nth operation fail, and those after it if the fault lasts.
func at(nth int, lasts bool) func(op, path string) bool {
	n := 0
	return func(string, string) bool {
		n++
		return n == nth || lasts && n > nth
	}
}

// faulty puts a fault between the journal and its folders.
func faulty(j *Journal) *fault {
	f, disk := &fault{}, j.files
	j.files.readDir = func(folder string) (entries []os.DirEntry, err error) {
		err = f.do("read folder", folder, func() error {
			entries, err = disk.readDir(folder)
			return err
		})
		return entries, err
	}
	j.files.makeDir = func(folder string) error {
		return f.do("make folder", folder, func() error { return disk.makeDir(folder) })
	}
	j.files.create = func(folder, path string) (pending, error) {
		var p pending
		err := f.do("create", path, func() (err error) {
			p, err = disk.create(folder, path)
			return err
		})
		return faultyFile{p, f, path}, err
	}
	j.files.sync = func(folder string) error {
		return f.do("sync folder", folder, func() error { return disk.sync(folder) })
	}
	j.files.remove = func(path string) error {
		return f.do("remove", path, func() error { return disk.remove(path) })
	}
	return f
}

type faultyFile struct {
	pending
	f    *fault
	path string
}

func (p faultyFile) Write(data []byte) (n int, err error) {
	err = p.f.do("write", p.path, func() error {
		n, err = p.pending.Write(data)
		return err
	})
	return n, err
}

func (p faultyFile) CloseAtomicallyReplace() error {
	if err := p.f.do("sync", p.path, func() error { return nil }); err != nil {
		return err
	}
	return p.f.do("rename", p.path, p.pending.CloseAtomicallyReplace)
}

func (p faultyFile) Cleanup() error {
	return p.f.do("clean up", p.path, p.pending.Cleanup)
}

// change is one operation of the journal on the sandbox "a", and what may come of it.
type change struct {
	prepare func(j *Journal) error
	do      func(j *Journal) error
	want    State          // published and on disk, if it succeeds
	failed  State          // published, if it fails
	disk    []State        // one of them is on disk, if it fails
	ops     map[string]int // operations that it can fail at, with how often
}

func changes() map[string]change {
	begun := func(j *Journal) error { return j.Begin(record("a", 1000), j.Homecomings()) }
	writes := map[string]int{"create": 1, "write": 1, "sync": 1, "rename": 1, "sync folder": 1}
	return map[string]change{
		"begin": {
			prepare: func(*Journal) error { return nil }, do: begun,
			want: Attaching, failed: "", disk: []State{"", Attaching}, ops: writes,
		},
		"put": {
			prepare: begun,
			do: func(j *Journal) error {
				r := record("a", 1000)
				r.State = Returning
				return j.Put(r)
			},
			want: Returning, failed: Returning, disk: []State{Attaching, Returning}, ops: writes,
		},
		"commit": {
			prepare: begun,
			do: func(j *Journal) error {
				publish, err := j.Commit(attached(record("a", 1000)))
				if err == nil {
					publish()
				}
				return err
			},
			want: Attached, failed: Attaching, disk: []State{Attaching, Attached}, ops: writes,
		},
		"remove": {
			prepare: begun, do: func(j *Journal) error { return j.Remove("a") },
			want: "", failed: Attaching, disk: []State{"", Attaching}, ops: map[string]int{"remove": 1, "sync folder": 1},
		},
		"save": {
			prepare: func(j *Journal) error { return errors.Join(begun(j), os.RemoveAll(j.folder)) },
			do: func(j *Journal) error {
				_, err := j.Save()
				return err
			},
			want: Attaching, failed: Attaching, disk: []State{"", Attaching},
			ops: map[string]int{"make folder": 1, "create": 1, "write": 1, "sync": 1, "rename": 1, "sync folder": 1},
		},
	}
}

// Every operation on a file fails, once or for good, done or not. The published record and
// the one on disk are each one of the two that they may be, and agree when the fault is over.
func TestEveryFault(t *testing.T) {
	for name, c := range changes() {
		for _, lasts := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s,lasts=%v,late=%v", name, lasts, late), func(t *testing.T) {
					met := map[string]int{}
					for nth := 1; c.fails(t, nth, lasts, late, met); nth++ {
					}
					for op, times := range c.ops {
						if met[op] < times {
							t.Errorf("%s did not fail: %v", op, met)
						}
					}
				})
			}
		}
	}
}

// fails reports whether there was an nth operation that could fail.
func (c change) fails(t *testing.T, nth int, lasts, late bool, met map[string]int) bool {
	t.Helper()
	state := t.TempDir()
	j, _ := open(t, state)
	if err := c.prepare(j); err != nil {
		t.Fatal(err)
	}
	f := faulty(j)
	f.fails, f.late = at(nth, lasts), late
	err := c.do(j)
	f.fails = nil
	if len(f.met) == 0 {
		c.check(t, j, state, c.want)
		if err != nil {
			t.Errorf("without a fault: %v", err)
		}
		return false
	}
	met[f.met[0]]++
	where := fmt.Sprintf("%d. operation, %q", nth, f.met)
	switch {
	case f.met[0] == "read folder": // nothing is known to be missing
		return true
	case err == nil || !errors.Is(err, syscall.EIO):
		t.Errorf("%s: error is %v", where, err)
	}
	if got := published(t, j, "a"); got != c.failed {
		t.Errorf("%s: published is %q, want %q", where, got, c.failed)
	}
	if got := onDisk(t, state, "a"); !slices.Contains(c.disk, got) {
		t.Errorf("%s: on disk is %q, want one of %q", where, got, c.disk)
	}
	if _, err := j.Save(); err != nil {
		t.Errorf("%s: %v", where, err)
	}
	c.check(t, j, state, c.failed)
	if err := c.again(j); err != nil {
		t.Errorf("%s: again: %v", where, err)
	}
	c.check(t, j, state, c.want)
	return true
}

// again does what the caller does after a failure.
func (c change) again(j *Journal) error { return c.do(j) }

// check looks at the journal, and at what the next process reads.
func (c change) check(t *testing.T, j *Journal, state string, want State) {
	t.Helper()
	if got := published(t, j, "a"); got != want {
		t.Errorf("published is %q, want %q", got, want)
	}
	next, problems := open(t, state)
	if len(problems) > 0 {
		t.Error(problems)
	}
	if got := published(t, next, "a"); got != want {
		t.Errorf("on disk is %q, want %q", got, want)
	}
	entries, err := os.ReadDir(filepath.Join(state, recordsFolder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// only lets these operations fail on a sandbox's file, or with none on the folder.
func only(sandbox string, ops ...string) func(op, path string) bool {
	return func(op, path string) bool {
		return slices.Contains(ops, op) && (sandbox == "" || filepath.Base(path) == sandbox+suffix)
	}
}

// Invariant: a device is in at most one record. A file that a failed Begin left keeps its
// devices from others until it is gone.
func TestLeftByBegin(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	f := faulty(j)
	f.fails = func(op, _ string) bool { return op == "sync folder" || op == "remove" }
	if err := j.Begin(record("a", 1000), j.Homecomings()); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if got := onDisk(t, state, "a"); got != Attaching {
		t.Fatalf("nothing is left: %q", got)
	}
	f.fails = only("a", "remove")
	if err := j.Begin(record("b", 1000), j.Homecomings()); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "sandbox a") {
		t.Errorf("error is %v", err)
	}
	if err := j.Begin(record("c", 1001), j.Homecomings()); err != nil {
		t.Errorf("another device: %v", err)
	}
	f.fails = nil
	mustBegin(t, j, record("b", 1000))
	atMostOnce(t, j, state)
	if a, b := onDisk(t, state, "a"), onDisk(t, state, "b"); a != "" || b != Attaching {
		t.Errorf("on disk are %q and %q", a, b)
	}
}

// The sandbox of a Begin that failed begins again.
func TestBeginAgain(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	f := faulty(j)
	f.fails = func(op, _ string) bool { return op == "sync folder" || op == "remove" }
	if err := j.Begin(record("a", 1000), j.Homecomings()); err == nil {
		t.Fatal("no error")
	}
	f.fails = only("", "remove")
	mustBegin(t, j, record("a", 1000))
	if saved, err := j.Save(); len(saved) > 0 || err != nil {
		t.Errorf("saved %v, %v", saved, err)
	}
	if got := onDisk(t, state, "a"); got != Attaching {
		t.Errorf("on disk is %q", got)
	}
}

// Save removes what a failed Begin left.
func TestSaveRemoves(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	f := faulty(j)
	f.fails = func(op, _ string) bool { return op == "sync folder" || op == "remove" }
	if err := j.Begin(record("a", 1000), j.Homecomings()); err == nil {
		t.Fatal("no error")
	}
	if _, err := j.Save(); !errors.Is(err, syscall.EIO) {
		t.Errorf("error is %v", err)
	}
	f.fails = nil
	if saved, err := j.Save(); len(saved) > 0 || err != nil {
		t.Errorf("saved %v, %v", saved, err)
	}
	if got := onDisk(t, state, "a"); got != "" {
		t.Errorf("on disk is %q", got)
	}
}

// Invariant: a device is in at most one record. A device that came home is another's only
// when its last record on disk is without it.
func TestLeftByPut(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000, 1001)
	j := begin(t, state, r)
	f := faulty(j)
	f.fails = only("a", "rename")
	r.State, r.Devices = Returning, r.Devices[1:]
	if err := j.Put(r); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	r.Devices = nil // a second failure forgets nothing of the first
	if err := j.Put(r); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := j.Begin(record("b", 1000), j.Homecomings()); !errors.Is(err, syscall.EIO) {
		t.Errorf("error is %v", err)
	}
	if saved, err := j.Save(); len(saved) > 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("saved %v, %v", saved, err)
	}
	if got := len(j.doubted["a"]); got != 2 {
		t.Errorf("%d devices may be in the file", got)
	}
	atMostOnce(t, j, state)
	f.fails = nil
	mustBegin(t, j, record("b", 1000))
	f.fails = only("a", "rename") // nothing more is to be written for the other one
	mustBegin(t, j, record("c", 1001))
	atMostOnce(t, j, state)
}

// A removal that failed at the folder leaves a record without a file: it is no record that
// is on disk.
func TestPutAfterFailedRemove(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000)
	j := begin(t, state, r)
	f := faulty(j)
	f.fails = only("", "sync folder")
	if err := j.Remove("a"); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := j.Begin(record("b", 1000), j.Homecomings()); err == nil {
		t.Error("the device is free, and the record is published")
	}
	f.fails = nil
	look := j.Homecomings()
	if err := j.Put(r); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, state, "a"); got != Attaching {
		t.Errorf("on disk is %q", got)
	}
	if j.Homecomings() != look {
		t.Error("a change is counted where there was none")
	}
}

// Invariant: a device is in at most one record. Put and Commit do not add one of another's.
func TestNoDeviceOfOthers(t *testing.T) {
	state := t.TempDir()
	j := begin(t, state, record("a", 1000))
	mustBegin(t, j, record("b", 1001))
	var inUse *InUseError
	both := record("b", 1001, 1000)
	if err := j.Put(both); !errors.As(err, &inUse) || inUse.Holder != "pod default/pod-a" {
		t.Errorf("error is %v", err)
	}
	if _, err := j.Commit(both); !errors.As(err, &inUse) {
		t.Errorf("error is %v", err)
	}
	if _, err := j.Commit(record("b", 1001, 1002)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Commit(record("b", 1001, 1002)); err != nil {
		t.Errorf("its own device: %v", err)
	}
	if err := j.Begin(record("c", 1002), j.Homecomings()); !errors.As(err, &inUse) || inUse.Holder != "pod default/pod-b" {
		t.Errorf("a device of a commit that is not published: %v", err)
	}
	atMostOnce(t, j, state)
}

// Two records of an earlier program that have one device can be written nevertheless.
func TestSharedAlready(t *testing.T) {
	state := t.TempDir()
	mustBegin(t, begin(t, state, record("a", 1000)), record("b", 1001))
	path := filepath.Join(state, recordsFolder, "b.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, strings.Replace(string(data), "1001", "1000", 1), path)
	j, _ := open(t, state)
	b, _ := j.Get("b")
	if b.Devices[0].Before.Identity.Inode != 1000 {
		t.Fatal("no device is shared")
	}
	for _, sandbox := range []string{"a", "b"} {
		r := record(sandbox, 1000)
		r.State = Returning
		if err := j.Put(r); err != nil {
			t.Error(err)
		}
	}
}

// A Begin that failed removes its file at once, and the temporary one.
func TestBeginCleansUp(t *testing.T) {
	for _, op := range []string{"write", "sync", "rename", "sync folder"} {
		state := t.TempDir()
		j, _ := open(t, state)
		f := faulty(j)
		n := 0
		f.fails = func(met, _ string) bool {
			if met == op {
				n++
			}
			return met == op && n == 1
		}
		if err := j.Begin(record("a", 1000), j.Homecomings()); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: error is %v", op, err)
		}
		if left := tree(t, filepath.Join(state, recordsFolder)); len(left) > 0 {
			t.Errorf("%s: left are %q", op, left)
		}
		if f.fails = only("a", "remove"); j.Begin(record("b", 1000), j.Homecomings()) != nil {
			t.Errorf("%s: the device is not free", op)
		}
	}
}

// A removal that succeeds keeps nothing, and one of nothing changes nothing.
func TestRemoved(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000)
	j := begin(t, state, r)
	f := faulty(j)
	look := j.Homecomings()
	if err := j.Remove("b"); err != nil || j.Homecomings() != look {
		t.Errorf("%v, or a change is counted", err)
	}
	if err := j.Remove("a"); err != nil || j.Homecomings() == look {
		t.Errorf("%v, or no change is counted", err)
	}
	f.fails = only("a", "remove")
	mustBegin(t, j, record("b", 1000))
	f.fails = nil
	if err := os.RemoveAll(filepath.Join(state, recordsFolder)); err != nil {
		t.Fatal(err)
	}
	if err := j.Remove("b"); err != nil || published(t, j, "b") != "" {
		t.Errorf("without its folder a record cannot be removed: %v", err)
	}
}

// When the folder cannot be read, nothing is known to be missing.
func TestSaveCannotLook(t *testing.T) {
	j := begin(t, t.TempDir(), record("a", 1000))
	f := faulty(j)
	f.fails = only("", "read folder")
	if saved, err := j.Save(); len(saved) > 0 || err != nil || len(f.met) != 1 {
		t.Errorf("saved %v, %v, faults %q", saved, err, f.met)
	}
}

// A record that cannot be made text is like one that cannot be written.
func TestNoText(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000)
	r.Since = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) // JSON has years of four digits
	j, _ := open(t, state)
	if err := j.Begin(r, j.Homecomings()); err == nil || published(t, j, "a") != "" {
		t.Errorf("error is %v", err)
	}
	mustBegin(t, j, record("b", 1000))
	if left := tree(t, filepath.Join(state, recordsFolder)); !slices.Equal(left, []string{"b.json"}) {
		t.Errorf("files are %q", left)
	}
}

// What the kernel says of a folder's synchronization is told, and no descriptor is left.
func TestSyncFolder(t *testing.T) {
	dir := t.TempDir()
	if err := syncFolder(dir); err != nil { // the first one opens what the process keeps
		t.Fatal(err)
	}
	before := descriptors(t)
	for range 3 {
		if err := syncFolder(dir); err != nil {
			t.Error(err)
		}
		if err := syncFolder("/proc"); !errors.Is(err, syscall.EINVAL) { // procfs cannot
			t.Errorf("error is %v", err)
		}
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	if err := syncFolder(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// atMostOnce checks the invariant in what is published and in what is on disk.
func atMostOnce(t *testing.T, j *Journal, state string) {
	t.Helper()
	records, err := Read(state, boot)
	if err != nil {
		t.Fatal(err)
	}
	for where, records := range map[string][]*Record{"published": j.All(), "on disk": records} {
		has := map[uint64]string{}
		for _, r := range records {
			for _, a := range r.All() {
				if other, ok := has[a.Before.Identity.Inode]; ok {
					t.Errorf("%s: device %d is in records %s and %s", where, a.Before.Identity.Inode, other, r.Sandbox)
				}
				has[a.Before.Identity.Inode] = r.Sandbox
			}
		}
	}
}

// Invariant: a record is on disk before its devices move. Invariant: a device is in at most
// one record. Both hold after every step of a random history with faults, and without
// faults the disk is what is published.
func TestHistories(t *testing.T) {
	for seed := range uint64(20) {
		state := t.TempDir()
		j, _ := open(t, state)
		h := &history{j: j, fault: faulty(j), rand: rand.New(rand.NewPCG(seed, 0)), publish: map[string]func(){}, removed: map[string]bool{}}
		for range 30 {
			h.step()
			atMostOnce(t, j, state)
			h.awayIsOnDisk(t, state)
		}
		h.fault.fails = nil
		if _, err := j.Save(); err != nil {
			t.Fatal(err)
		}
		for _, sandbox := range sandboxes {
			h.call(sandbox)
			if got, want := onDisk(t, state, sandbox), published(t, j, sandbox); got != want {
				t.Errorf("%s is %q on disk, and published as %q", sandbox, got, want)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d: %q", seed, h.told)
		}
	}
}

var sandboxes = []string{"a", "b", "c"}

type history struct {
	j       *Journal
	fault   *fault
	rand    *rand.Rand
	publish map[string]func()
	removed map[string]bool // by a removal that failed
	told    []string
}

func (h *history) call(sandbox string) {
	if publish := h.publish[sandbox]; publish != nil {
		publish()
	}
	delete(h.publish, sandbox)
}

// step does something with a sandbox; three of four times some operation may fail.
func (h *history) step() {
	h.fault.fails, h.fault.late = nil, h.rand.IntN(2) == 0
	if h.rand.IntN(4) > 0 {
		h.fault.fails = func(string, string) bool { return h.rand.IntN(3) == 0 }
	}
	sandbox := sandboxes[h.rand.IntN(len(sandboxes))]
	r, ok := h.j.Get(sandbox)
	var err error
	did := h.rand.IntN(5)
	switch {
	case !ok:
		inodes := []uint64{1000, 1001, 1002}[h.rand.IntN(2):]
		err = h.j.Begin(record(sandbox, inodes[:1+h.rand.IntN(len(inodes))]...), h.j.Homecomings())
	case did == 0:
		h.publish[sandbox], err = h.j.Commit(attached(r))
	case did == 1:
		h.call(sandbox)
	case did == 2: // one of its devices is home
		c := *r
		c.State, c.Devices = Returning, r.Devices[:max(len(r.Devices)-1, 0)]
		err = h.j.Put(&c)
	case did == 3:
		err = h.j.Remove(sandbox)
		h.removed[sandbox] = err != nil
	default:
		_, err = h.j.Save()
	}
	h.told = append(h.told, fmt.Sprintf("%d of %s (had one: %v): %v", did, sandbox, ok, err))
}

// awayIsOnDisk checks that the next process would know every device that is away. A removal
// that failed may have removed the file: the devices are home then.
func (h *history) awayIsOnDisk(t *testing.T, state string) {
	t.Helper()
	records, err := Read(state, boot)
	if err != nil {
		t.Fatal(err)
	}
	next := Of(records)
	for _, r := range h.j.All() {
		stored, ok := next.Get(r.Sandbox)
		if !ok && h.removed[r.Sandbox] {
			continue
		}
		for _, a := range r.All() {
			if !ok || !stored.holds(a.Before.Identity) {
				t.Errorf("%s is not on disk with device %d", r.Sandbox, a.Before.Identity.Inode)
			}
		}
	}
}

// Invariant: a published record is never changed in place. Sandboxes change at the same
// time, and somebody reads; run with the race detector.
func TestTogether(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			for _, r := range j.All() {
				if len(r.Devices) != 1 || (r.State == Attached) != r.Committed {
					t.Errorf("a record is half changed: %+v", r)
				}
			}
			j.Find("eth1")
			j.Holds(netmove.Identity{Inode: 1000})
		}
	})
	for i := range 4 {
		writers.Go(func() {
			sandbox := fmt.Sprint("s", i)
			for range 10 {
				together(t, j, sandbox, uint64(1000+i))
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if got := len(j.All()); got != 4 {
		t.Errorf("%d records", got)
	}
	for _, r := range j.All() {
		if got := onDisk(t, state, r.Sandbox); r.State != Attached || got != Attached {
			t.Errorf("%s is %q, on disk %q", r.Sandbox, r.State, got)
		}
	}
}

func together(t *testing.T, j *Journal, sandbox string, inode uint64) {
	if err := j.Remove(sandbox); err != nil {
		t.Error(err)
	}
	r := record(sandbox, inode)
	for {
		err := j.Begin(r, j.Homecomings())
		if err == nil {
			break
		}
		if !errors.Is(err, ErrStale) {
			t.Error(err)
			return
		}
	}
	publish, err := j.Commit(attached(r))
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := j.Save(); err != nil {
		t.Error(err)
	}
	publish()
}
