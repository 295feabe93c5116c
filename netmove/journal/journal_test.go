package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nri-netdev/nri-netdev/netmove"
)

const boot = "boot-1"

func open(t *testing.T, state string) (*Journal, []error) {
	t.Helper()
	j, problems, err := Open(state, boot)
	if err != nil {
		t.Fatal(err)
	}
	return j, problems
}

func record(sandbox string, inodes ...uint64) *Record {
	r := &Record{
		Sandbox: sandbox,
		Pod:     Pod{Namespace: "default", Name: "pod-" + sandbox, UID: "uid"},
		Netns:   Netns{Path: "/run/netns/x", Cookie: 7},
		State:   Attaching,
		Since:   time.Unix(1700000000, 0).UTC(),
	}
	for _, inode := range inodes {
		r.Devices = append(r.Devices, netmove.Attachment{
			Request: netmove.Request{
				Device: "eth1", PodName: "net1", MTU: 9000, MAC: netmove.MAC{2, 0, 0, 0, 0, 1},
				Addresses: []netip.Prefix{}, Routes: []netmove.RouteRequest{}, Pool: "fast",
				Match:      netmove.Match{MAC: netmove.MAC{2, 0, 0, 0, 0, 2}, PCIAddress: "0000:02:00.0", Driver: "ice"},
				Rules:      []netmove.RuleRequest{{From: netip.MustParsePrefix("192.0.2.0/24"), Table: 100, Priority: 7, FwMark: 1}},
				Neighbors:  []netmove.NeighborRequest{{IP: netip.MustParseAddr("fe80::1"), MAC: netmove.MAC{2, 0, 0, 0, 0, 3}}},
				Sysctls:    map[string]string{"ipv4/arp_ignore": "1"},
				Features:   map[string]bool{"rx-gro": false},
				GSOMaxSize: 65536, DetachBPF: true,
			},
			Before: netmove.Snapshot{
				Sysctls:  map[string]string{"ipv4/conf/arp_ignore": "0"},
				Programs: []netmove.Program{{Hook: netmove.XDPDriver, ID: 7, Detached: true}},

				Identity: netmove.Identity{Inode: inode, Index: 3, Parent: "0000:02:00.0", Bus: "pci", Netns: 1 << 60},
				Name:     "eth1", Altnames: []string{"enp2s0"}, Alias: "x", MTU: 1500, TakenAt: netmove.BootOffset(time.Minute),
				Flags: netmove.LinkFlags{Up: true},
				Addresses: []netmove.Address{{
					Local: netip.MustParsePrefix("192.0.2.1/24"), Peer: netip.MustParseAddr("192.0.2.2"), Label: "eth1:x",
					Flags: netmove.FlagPermanent, Metric: 9, Valid: netmove.Forever, Preferred: netmove.Forever,
				}},
			},
			PodName: "net1", Guard: true, PodIndex: 5,
		})
	}
	return r
}

// What is written is what the next process reads.
func TestRoundTrip(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	want := record("a", 1000)
	if err := j.Begin(want, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	want.State = Attached
	if err := j.Put(want); err != nil {
		t.Fatal(err)
	}
	j, problems := open(t, state)
	if len(problems) > 0 {
		t.Error(problems)
	}
	got, ok := j.Get("a")
	if !ok {
		t.Fatal("the record is gone")
	}
	want.Version, want.BootID = version, boot
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if got.Devices[0].Request.Addresses == nil {
		t.Error(`"no addresses" became "keep the addresses"`)
	}
	if saved, err := j.Save(); len(saved) > 0 || err != nil {
		t.Errorf("records that are on disk are written again: %q, %v", saved, err)
	}
	if err := j.Remove("a"); err != nil {
		t.Error(err)
	}
	if err := j.Remove("a"); err != nil {
		t.Errorf("second removal: %v", err)
	}
	if j, _ := open(t, state); len(j.All()) > 0 {
		t.Errorf("records after the removal: %v", j.All())
	}
}

// Invariant: a published record is never changed in place.
func TestRecordIsAValue(t *testing.T) {
	j, _ := open(t, t.TempDir())
	r := record("a", 1000)
	if err := j.Begin(r, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	r.State, r.Devices[0].PodIndex = Attached, 99
	got, _ := j.Get("a")
	if got.State != Attaching || got.Devices[0].PodIndex == 99 {
		t.Errorf("the journal's record changed with the caller's: %+v", got)
	}
	r.Quarantined, r.Lost = record("a", 1001).Devices, record("a", 1002).Devices
	r.Problems = map[string]Problem{"eth1": {Text: "x"}}
	if err := j.Put(r); err != nil {
		t.Fatal(err)
	}
	r.Quarantined[0].PodIndex, r.Lost[0].PodIndex, r.Problems["eth1"] = 99, 99, Problem{}
	got, _ = j.Get("a")
	if got.Quarantined[0].PodIndex == 99 || got.Lost[0].PodIndex == 99 || got.Problems["eth1"].Text != "x" {
		t.Errorf("the journal's record changed with the caller's: %+v", got)
	}
}

func TestClaims(t *testing.T) {
	j, _ := open(t, t.TempDir())
	if err := j.Begin(record("a", 1000, 1001), j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	var inUse *InUseError
	if err := j.Begin(record("b", 1002, 1001), j.Homecomings()); !errors.As(err, &inUse) || err.Error() != `device "eth1" is in use by pod default/pod-a` {
		t.Errorf("error is %v", err)
	}
	if _, ok := j.Get("b"); ok {
		t.Error("a refused record is in the journal")
	}
	if err := j.Begin(record("a", 1003), j.Homecomings()); err == nil {
		t.Error("a sandbox began twice")
	}
	if err := j.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(record("b", 1002, 1001), j.Homecomings()); err != nil {
		t.Error(err)
	}
}

// A device that came home between the look at it and the claim may have been
// seen half restored.
func TestStaleLook(t *testing.T) {
	j, _ := open(t, t.TempDir())
	if err := j.Begin(record("a", 1000), j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	look := j.Homecomings()
	if err := j.Remove("a"); err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(record("b", 1000), look); !errors.Is(err, ErrStale) {
		t.Errorf("error is %v, want ErrStale", err)
	}
	if err := j.Begin(record("b", 1000), j.Homecomings()); err != nil {
		t.Error(err)
	}
}

// Lost hardware is nobody's until it was restored.
func TestLostIsClaimed(t *testing.T) {
	j, _ := open(t, t.TempDir())
	r := record("a", 1000)
	if err := j.Begin(r, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	r.State, r.Lost, r.Devices = Lost, r.Devices, nil
	if err := j.Put(r); err != nil {
		t.Fatal(err)
	}
	var inUse *InUseError
	if err := j.Begin(record("b", 1000), j.Homecomings()); !errors.As(err, &inUse) {
		t.Errorf("error is %v", err)
	}
	if _, _, ok := j.Find("eth1"); ok {
		t.Error("the name of a lost device is not free")
	}
}

// A quarantined device is nobody's, and the refusal says why.
func TestQuarantinedIsClaimed(t *testing.T) {
	j, _ := open(t, t.TempDir())
	r := record("a", 1000)
	if err := j.Begin(r, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	r.State, r.Quarantined, r.Devices = Quarantined, r.Devices, nil
	if err := j.Put(r); err != nil {
		t.Fatal(err)
	}
	const want = `device "eth1" is quarantined: something that pod default/pod-a put on it could not be removed; ask the node's operator`
	if err := j.Begin(record("b", 1000), j.Homecomings()); err == nil || err.Error() != want {
		t.Errorf("error is %v", err)
	}
	if _, holder, ok := j.Find("eth1"); !ok || holder.Sandbox != "a" {
		t.Errorf("holder is %v", holder)
	}
}

// A change that cannot be written counts for this process.
func TestPutUnwritable(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	r := record("a", 1000)
	if err := j.Begin(r, j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(state, recordsFolder)
	if err := os.Rename(folder, folder+"-"); err != nil {
		t.Fatal(err)
	}
	r.State = Returning
	if err := j.Put(r); err == nil {
		t.Error("no error")
	}
	if got, _ := j.Get("a"); got.State != Returning {
		t.Errorf("state is %q", got.State)
	}
}

func TestFind(t *testing.T) {
	j, _ := open(t, t.TempDir())
	if err := j.Begin(record("a", 1000), j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"eth1": true, "enp2s0": true, "net1": false} {
		dev, holder, ok := j.Find(name)
		if ok != want || (ok && (dev.Identity.Inode != 1000 || holder.Pod.Name != "pod-a")) {
			t.Errorf("Find(%q) = %+v, %v, %v", name, dev.Identity, holder, ok)
		}
	}
}

// Files that are no records of this boot are set aside, each with its reason,
// and the good ones are read.
func TestSetAside(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	if err := j.Begin(record("good", 1000), j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(filepath.Join(state, recordsFolder, "good.json"))
	if err != nil {
		t.Fatal(err)
	}
	edited := func(edit func(map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	bad := map[string][]byte{
		"torn.json":    good[:len(good)/2],
		"empty.json":   nil,
		"foreign.txt":  []byte("hello"),
		"version.json": edited(func(m map[string]any) { m["version"] = 0; m["sandbox"] = "version" }),
		"old.json":     edited(func(m map[string]any) { m["bootID"] = "boot-0"; m["version"] = version + 1; m["sandbox"] = "old" }),
		"boot.json":    edited(func(m map[string]any) { m["bootID"] = "boot-0"; m["sandbox"] = "boot" }),
		"renamed.json": good,
		"devices.json": edited(func(m map[string]any) { m["devices"] = "eth1"; m["sandbox"] = "devices" }),
	}
	for name, data := range bad {
		if err := os.WriteFile(filepath.Join(state, recordsFolder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A write that a crash cut short leaves a temporary file: nothing to tell.
	if err := os.WriteFile(filepath.Join(state, recordsFolder, ".good.json123"), good, 0o600); err != nil {
		t.Fatal(err)
	}
	j, problems := open(t, state)
	if len(problems) != len(bad) {
		t.Errorf("%d problems, want %d: %v", len(problems), len(bad), problems)
	}
	if all := j.All(); len(all) != 1 || all[0].Sandbox != "good" {
		t.Errorf("records: %v", all)
	}
	for name := range bad {
		of := boot
		if name == "old.json" || name == "boot.json" {
			of = "boot-0"
		}
		if got, err := os.ReadFile(filepath.Join(state, setAsideFolder, of, name)); err != nil || !bytes.Equal(got, bad[name]) {
			t.Errorf("%s was not set aside as it was: %v", name, err)
		}
	}
	if got := j.SetAside(); got != len(bad) {
		t.Errorf("%d files were set aside, want %d", got, len(bad))
	}
	if _, problems := open(t, state); len(problems) > 0 {
		t.Errorf("told again: %v", problems)
	}
}

// A record of a newer program, which may have devices, is no reason to forget them.
func TestNewerRecord(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	if err := j.Begin(record("a", 1000), j.Homecomings()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(state, recordsFolder, "a.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := strings.Replace(string(data), `"version": 2`, `"version": 3`, 1)
	if newer == string(data) {
		t.Fatalf("no version in %s", data)
	}
	if err := os.WriteFile(path, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(state, boot); !errors.Is(err, ErrVersion) {
		t.Errorf("error is %v, want %v", err, ErrVersion)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("the record is not where it was")
	}
}

func TestBadSandboxID(t *testing.T) {
	j, _ := open(t, t.TempDir())
	for _, id := range []string{"", ".", "..", "../x", "a/b", ".hidden", "a\x00"} {
		_, commit := j.Commit(record(id, 1000))
		for _, err := range []error{j.Begin(record(id, 1000), j.Homecomings()), j.Remove(id)} {
			if err == nil || strings.Count(err.Error(), "is no sandbox id") != 1 {
				t.Errorf("sandbox id %q: error is %v", id, err)
			}
		}
		if commit == nil {
			t.Errorf("sandbox id %q is committed", id)
		}
	}
	if err := j.Put(record("../x", 1000)); err == nil || !strings.Contains(err.Error(), "is no sandbox id") {
		t.Errorf("error is %v", err)
	}
}

// A record that cannot be written claims nothing.
func TestUnwritable(t *testing.T) {
	state := t.TempDir()
	j, _ := open(t, state)
	folder := filepath.Join(state, recordsFolder)
	if err := os.Rename(folder, folder+"-"); err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(record("a", 1000), j.Homecomings()); err == nil {
		t.Error("no error")
	}
	if err := os.Rename(folder+"-", folder); err != nil {
		t.Fatal(err)
	}
	if err := j.Begin(record("b", 1000), j.Homecomings()); err != nil {
		t.Error(err)
	}
}

// Somebody removes the folder of the records, or makes it anew, or removes a file: what is
// missing is written again.
func TestSave(t *testing.T) {
	state := t.TempDir()
	folder := filepath.Join(state, recordsFolder)
	j := begin(t, state, record("a", 1000))
	mustBegin(t, j, record("b", 1001))
	for name, c := range map[string]struct {
		harm func() error
		want []string
	}{
		"nothing": {func() error { return nil }, nil},
		"removed": {func() error { return os.RemoveAll(folder) }, []string{"a", "b"}},
		"anew": {func() error {
			return errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700))
		}, []string{"a", "b"}},
		"one":   {func() error { return os.Remove(filepath.Join(folder, "b.json")) }, []string{"b"}},
		"state": {func() error { return os.RemoveAll(state) }, []string{"a", "b"}},
	} {
		if err := c.harm(); err != nil {
			t.Fatal(err)
		}
		look := j.Homecomings()
		if saved, err := j.Save(); !slices.Equal(saved, c.want) || err != nil {
			t.Errorf("%s: saved %v, %v", name, saved, err)
		}
		if j.Homecomings() != look {
			t.Errorf("%s: a change is counted", name)
		}
		next, problems := open(t, state)
		if diff := cmp.Diff(j.All(), next.All(), cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{})); diff != "" || len(problems) > 0 {
			t.Errorf("%s: records (-want +got):\n%s%v", name, diff, problems)
		}
	}
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder is %v, %v", info.Mode(), err)
	}
	if info, err = os.Stat(filepath.Join(folder, "a.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a record is %v, %v", info.Mode(), err)
	}
}

// A put that could not be written is written later.
func TestSaveUnwritten(t *testing.T) {
	state := t.TempDir()
	r := record("a", 1000)
	j := begin(t, state, r)
	f := faulty(j)
	f.fails = only("a", "write")
	r.State = Returning
	look := j.Homecomings()
	if err := j.Put(r); err == nil || j.Homecomings() == look {
		t.Errorf("error is %v, or the change is not counted", err)
	}
	look = j.Homecomings()
	if err := j.Put(r); err == nil || j.Homecomings() != look {
		t.Errorf("error of the same again is %v, or it is counted", err)
	}
	f.fails = nil
	if saved, err := j.Save(); !slices.Equal(saved, []string{"a"}) || err != nil {
		t.Errorf("saved %v, %v", saved, err)
	}
	if got := onDisk(t, state, "a"); got != Returning {
		t.Errorf("on disk is %q", got)
	}
}

func TestOf(t *testing.T) {
	j := Of([]*Record{record("b", 1001), record("a", 1000)})
	if all := j.All(); len(all) != 2 || all[0].Sandbox != "a" {
		t.Errorf("records: %v", all)
	}
	if !j.Holds(netmove.Identity{Inode: 1001, Index: 3, Parent: "0000:02:00.0", Bus: "pci", Netns: 1 << 60}) || j.Holds(netmove.Identity{Inode: 1002}) {
		t.Error("not the devices of the records")
	}
}

func TestHolder(t *testing.T) {
	r := &Record{Sandbox: ManualID(netmove.Identity{Inode: 1000}), Netns: Netns{Path: "/run/netns/x"}}
	if r.Sandbox != "manual-ndrs" || !r.Manual() || r.Holder() != "the network namespace /run/netns/x, where it was moved by hand" {
		t.Errorf("%s is held by %s", r.Sandbox, r.Holder())
	}
	if r := record("a", 1000); r.Manual() || r.Holder() != "pod default/pod-a" {
		t.Errorf("%s is held by %s", r.Sandbox, r.Holder())
	}
}
