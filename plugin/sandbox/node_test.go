package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// node is a table on a node in memory, with a real journal.
type node struct {
	*netmovetest.World
	*Table
	host  *netmovetest.Namespace
	state string
	cdi   string // folder of CDI specifications
	seen  *seen
	log   *plugintest.Log
}

// testPod is a sandbox and what its pod asks for.
type testPod struct {
	Sandbox
	devices string // the annotation's value
}

func (p *testPod) annotations() map[string]string {
	return map[string]string{config.Annotation: p.devices}
}

func (p *testPod) requests() ([]netmove.Request, error) {
	return config.ParseAnnotations(p.annotations())
}

const allowAll = plugintest.AllowAll

func newNode(t testing.TB, text string) *node {
	t.Helper()
	w := netmovetest.New()
	n := &node{World: w, host: w.AddNamespace("host"), state: t.TempDir(), cdi: t.TempDir()}
	for _, name := range []string{"eth1", "eth2", "eth3"} {
		n.host.Add(netmove.Snapshot{
			Name: name, MTU: 1500, MaxMTU: 9600, MAC: netmove.MAC{2, 0, 0, 0, 0, name[3]},
			Flags: netmove.LinkFlags{Up: true}, Altnames: []string{"alt-" + name},
			Options: []netmove.Option{{Name: "gso_max_size", Value: netmove.RawValue{name[3]}}},
			Sysctls: map[string]string{"ipv4/conf/arp_ignore": "2"},
			Entries: []netmove.Entry{{Table: netmove.TableNeighbor, Text: "192.0.2.9", Message: []byte{1}, Proxy: true}},
		})
	}
	n.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: "eth9", MTU: 1500}, Facts: netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default table main", Device: "eth9"}}}})
	n.start(t, text)
	return n
}

// start starts a process, so to say, on the state of the one before.
func (n *node) start(t testing.TB, text string) {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	j, problems, err := journal.Open(n.state, "boot-1")
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	n.log = &plugintest.Log{}
	log := slog.New(n.log)
	n.seen = &seen{count: map[string]int{}}
	n.Table = New(n.World, &netmove.Mover{Now: n.World.Now, Host: n.host, Log: log}, j, Folders{n.state, n.cdi}, c, n.seen, log)
	n.SeeRuntime(1)
}

// seen is what an observer was told, by kind.
type seen struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *seen) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[what]++
}

func (s *seen) Attached(time.Duration)        { s.add("attached") }
func (s *seen) Returned(how Outcome)          { s.add(string(how)) }
func (s *seen) ReturnTook(time.Duration)      { s.add("return") }
func (s *seen) Differs(where Side, of string) { s.add("differs " + string(where) + " " + of) }
func (s *seen) Recovers()                     { s.add("recovers") }

// of is how often the observer was told so.
func (s *seen) of(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[what]
}

// pod makes a sandbox with a namespace of its own.
func (n *node) pod(name, devices string) *testPod {
	path := "pod-" + name
	n.AddNamespace(path).Add(netmove.Snapshot{Name: "eth0"})
	return &testPod{
		Sandbox: Sandbox{
			ID: "sandbox-" + name, NetnsPath: path,
			Pod: journal.Pod{Namespace: "default", Name: name, UID: "uid-" + name},
		},
		devices: devices,
	}
}

// run starts a pod.
func (n *node) run(ctx context.Context, p *testPod) error {
	requests, err := p.requests()
	if err != nil {
		return err
	}
	return n.Attach(ctx, p.Sandbox, requests, untilDone{ctx})
}

// stop ends a pod.
func (n *node) stop(_ context.Context, p *testPod) error {
	n.End(p.ID)
	return nil
}

// list is the runtime's list, with the pods that have a container among them.
func (n *node) list(pods []*testPod, populated ...*testPod) {
	has := map[string]bool{}
	var asking []Listed
	for _, p := range pods {
		has[p.ID] = true
		asking = append(asking, Listed{Sandbox: p.Sandbox, Annotations: p.annotations(), Populated: slices.Contains(populated, p)})
	}
	n.List(has, asking)
}

func (n *node) records(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(n.state, "sandboxes"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// asBefore checks that nothing is different and nothing is left.
func (n *node) asBefore(t *testing.T, before string) {
	t.Helper()
	if diff := cmp.Diff(before, n.World.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
	if left := n.pins.held.keys(); len(left) > 0 {
		t.Errorf("namespaces or programs are held: %q", left)
	}
	if left := n.locks.held.keys(); len(left) > 0 {
		t.Errorf("locks are left: %q", left)
	}
	if handles, programs := n.Handles(), n.Holders(); handles != 0 || programs != 0 {
		t.Errorf("%d handles of namespaces are open, %d programs are held", handles, programs)
	}
}

func TestPodLife(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
	before := n.World.String()
	ctx := t.Context()
	if err := n.run(ctx, pod); err != nil {
		t.Fatal(err)
	}
	ns := n.namespaceOf(t, pod)
	for _, name := range []string{"net1", "eth2"} {
		if dev, err := ns.ByName(name); err != nil || !dev.Flags.Up {
			t.Errorf("%s in the pod: %+v, %v", name, dev, err)
		}
	}
	r, ok := n.journal.Get("sandbox-a")
	if !ok || r.State != journal.Attached || len(r.Devices) != 2 || r.Pod.String() != "default/a" || r.Netns.Cookie != ns.Cookie() {
		t.Errorf("record: %+v", r)
	}
	// Any order, any number of times.
	for _, hook := range []func(context.Context, *testPod) error{n.stop, n.stop, n.stop} {
		if err := hook(ctx, pod); err != nil {
			t.Error(err)
		}
		n.asBefore(t, before)
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name, devices string
		edit          func(*testPod)
		want          string
	}{
		{"no such device", "- name: eth7", nil, `device "eth7" not found on this node`},
		{"second device missing", "- name: eth1\n- name: eth7", nil, `device "eth7" not found on this node`},
		{"name taken", "- {name: eth1, newName: eth0}", nil, `cannot name "eth1" "eth0" in the pod: the name is taken`},
		{"uplink", "- name: eth9", nil, `device "eth9" carries the node's default route and never moves: default table main`},
		{"other namespace", "- name: eth1", func(p *testPod) { p.Pod.Namespace = "kube-system" }, `device "eth1" is not allowed in namespace "kube-system"`},
		{"host network", "- name: eth1", func(p *testPod) { p.NetnsPath = "" }, "pod uses the host network"},
		{"host network, CRI-O", "- name: eth1", func(p *testPod) { p.NetnsPath = "host" }, "pod uses the host network"},
		{"runtime handler", "- name: eth1", func(p *testPod) { p.Handler = "kata" }, `runtime handler "kata" is not allowed to have host devices on this node`},
		{"annotation", "- nam: eth1", nil, config.Annotation + "[0]"},
		{"setting", "- {name: eth1, mac: 02:00:00:00:00:77}", nil, `setting "mac" of device "eth1" is not allowed in namespace "default"`},
		{"namespace gone", "- name: eth1", func(p *testPod) { p.NetnsPath = "nowhere" }, "network namespace nowhere: not found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, allowAll)
			pod := n.pod("a", tc.devices)
			if tc.edit != nil {
				tc.edit(pod)
			}
			before, written := n.World.String(), n.journal.Homecomings()
			err := n.run(t.Context(), pod)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is\n%v\nwant\n%s", err, tc.want)
			}
			if n.journal.Homecomings() != written {
				t.Error("a record was written")
			}
			n.asBefore(t, before)
		})
	}
}

// Two problems are told in one error.
func TestAllProblemsInOneError(t *testing.T) {
	n := newNode(t, allowAll)
	err := n.run(t.Context(), n.pod("a", "- name: eth7\n- name: eth9\n"))
	for _, want := range []string{"eth7", "eth9"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("error %v says nothing of %s", err, want)
		}
	}
}

func TestInUse(t *testing.T) {
	n := newNode(t, allowAll)
	if err := n.run(t.Context(), n.pod("a", "- name: eth1")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"eth1", "alt-eth1"} {
		err := n.run(t.Context(), n.pod("b", "- name: "+name))
		if want := fmt.Sprintf("device %q is in use by pod default/a", name); fmt.Sprint(err) != want {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
	// Who may not have the device is not told who has it.
	other := n.pod("c", "- name: eth1")
	other.Pod.Namespace = "other"
	if err := n.run(t.Context(), other); err == nil || strings.Contains(err.Error(), "default/a") {
		t.Errorf("error is %v", err)
	}
}

// Ten pods want one device: one gets it, nine learn who.
func TestRace(t *testing.T) {
	n := newNode(t, allowAll)
	var pods []*testPod
	for i := range 10 {
		pods = append(pods, n.pod(fmt.Sprint(i), "- name: eth1"))
	}
	before := n.World.String()
	errs := make([]error, len(pods))
	var wg sync.WaitGroup
	for i, pod := range pods {
		wg.Go(func() { errs[i] = n.run(context.Background(), pod) })
	}
	wg.Wait()
	winners := 0
	for i, err := range errs {
		if err == nil {
			winners++
			continue
		}
		if !strings.Contains(err.Error(), `device "eth1" is in use by pod default/`) {
			t.Errorf("pod %d: %v", i, err)
		}
	}
	if winners != 1 {
		t.Errorf("%d pods have the device", winners)
	}
	for _, pod := range pods {
		if err := n.stop(t.Context(), pod); err != nil {
			t.Error(err)
		}
	}
	n.asBefore(t, before)
}

// The work is done in the instant in which the hook gives up: whoever makes
// the claim first decides.
func TestDoneTooLate(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1\n")
	before := n.World.String()
	requests, err := pod.requests()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Attach(t.Context(), pod.Sandbox, requests, refusal{}); !errors.Is(err, errNobodyWaits) {
		t.Errorf("error is %v", err)
	}
	n.asBefore(t, before)
}

// enough makes sure that a test of every step has seen some.
func enough(t *testing.T, steps int) {
	t.Helper()
	if steps < 12 {
		t.Errorf("two devices took only %d requests", steps)
	}
}

// Every request to the kernel fails in turn while a pod starts: the pod is
// refused, or has all; in the end the host is as before.
func TestEveryStepFails(t *testing.T) {
	for _, cannotPin := range []bool{false, true} {
		everyStepFails(t, cannotPin)
	}
}

func everyStepFails(t *testing.T, cannotPin bool) {
	t.Helper()
	for n := 1; ; n++ {
		node := newNode(t, allowAll)
		node.CannotPin(cannotPin)
		pod := node.pod("a", "- {name: eth1, newName: net1, mtu: 9000}\n- name: eth2\n")
		before := node.World.String()
		node.Fail(n, netmovetest.Before)
		err := node.run(t.Context(), pod)
		if node.Calls() < n {
			enough(t, n)
			break
		}
		node.Fail(0, netmovetest.Never)
		if err != nil {
			node.asBefore(t, before)
			continue
		}
		r := node.recordOf(t, pod)
		if kept := node.pins.pinned(r) || node.pins.kept(pod.ID) != nil; r.State != journal.Attached || !kept {
			t.Errorf("step %d: record %+v; the namespace is kept alive: %v", n, r, kept)
		}
		if err := node.stop(t.Context(), pod); err != nil {
			t.Error(err)
		}
		node.asBefore(t, before)
	}
}

// The same for a pod's end. The hook never fails; Recover, or the sweep,
// completes what it could not.
func TestEveryStepOfTheReturnFails(t *testing.T) {
	for n := 1; ; n++ {
		node := newNode(t, allowAll)
		pod := node.pod("a", "- {name: eth1, newName: net1, mtu: 9000}\n- name: eth2\n")
		before := node.World.String()
		if err := node.run(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		node.Fail(n, netmovetest.Before)
		if err := node.stop(t.Context(), pod); err != nil {
			t.Errorf("step %d: %v", n, err)
		}
		if node.Calls() < n {
			enough(t, n)
			node.asBefore(t, before)
			break
		}
		node.Fail(0, netmovetest.Never)
		node.Recover()
		node.asBefore(t, before)
	}
}

// The state folder is lost while a pod holds devices, or full: no attach
// without a record, and no return that waits for one.
func TestJournalUnwritable(t *testing.T) {
	n := newNode(t, allowAll)
	a, b := n.pod("a", "- name: eth1"), n.pod("b", "- name: eth2")
	before := n.World.String()
	if err := n.run(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	withA := n.World.String()
	moved := n.state + "-elsewhere"
	if err := os.Rename(n.state, moved); err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "journal: ") {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff(withA, n.World.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if err := n.stop(t.Context(), a); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, n.World.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if err := os.Rename(moved, n.state); err != nil {
		t.Fatal(err)
	}
}

// A plugin that starts again knows what its pods have, keeps it for them, and
// gives it back when they end.
func TestRestart(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	before := n.World.String()
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	attached := n.World.String()
	n.start(t, allowAll)
	n.Recover()
	if diff := cmp.Diff(attached, n.World.String()); diff != "" {
		t.Errorf("the restart changed the world (-want +got):\n%s", diff)
	}
	err := n.run(t.Context(), n.pod("b", "- name: eth1"))
	if fmt.Sprint(err) != `device "eth1" is in use by pod default/a` {
		t.Errorf("error is %v", err)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Error(err)
	}
	if got := n.World.String(); !strings.HasPrefix(got, before) {
		t.Errorf("the world differs (-want +got):\n%s", cmp.Diff(before, got))
	}
}

// The process dies between any two requests of an attach: the next one undoes
// what it finds.
func TestCrashWhileAttaching(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, allowAll)
		pod := n.pod("a", "- {name: eth1, newName: net1, mtu: 9000}\n- {name: eth2, newName: net2}\n")
		before := n.World.String()
		n.Crash(step)
		crashed := func() (crashed bool) {
			defer func() { crashed = recover() != nil }()
			if err := n.run(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			return false
		}()
		if !crashed {
			enough(t, step)
			break
		}
		n.Fail(0, netmovetest.Never)
		n.EndProcess()
		n.start(t, allowAll)
		n.Recover()
		n.asBefore(t, before)
	}
}

// A device whose name the host took is home under another, and gets its own
// as soon as that is free.
func TestSweepRenames(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.host.Add(netmove.Snapshot{Name: "eth1"})
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	r, ok := n.journal.Get("sandbox-a")
	if !ok || r.State != journal.Returning {
		t.Fatalf("record is %+v", r)
	}
	name := r.Devices[0].Before.Identity.RecognisableName()
	if _, err := n.host.ByName(name); err != nil {
		t.Fatalf("the device is not home: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go n.Sweep(ctx)
	n.host.Remove("eth1")
	for len(n.records(t)) > 0 {
		select {
		case <-ctx.Done():
			t.Fatalf("the device did not get its name back:\n%s", n.World)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if dev, err := n.host.ByName("eth1"); err != nil || dev.MAC == nil {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
}

func TestOnReturnDown(t *testing.T) {
	n := newNode(t, allowAll+"onReturn: down\n")
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	dev, err := n.host.ByName("eth1")
	if err != nil || dev.Flags.Up || len(dev.Addresses) > 0 {
		t.Errorf("eth1 is %+v, %v", dev, err)
	}
}

// errNobodyWaits is the answer of a refusal.
var errNobodyWaits = errors.New("nobody waits any more")

// refusal is an Answer that comes too late.
type refusal struct{}

func (refusal) Late() error    { return nil }
func (refusal) Succeed() error { return errNobodyWaits }

// other is a device that no pod can have.
func other(name string) netmove.Device {
	return netmove.Device{Snapshot: netmove.Snapshot{Name: name}, Facts: netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default table main", Device: name}}}}
}

// namespaceOf is the namespace of a pod, as who is in it has it.
func (n *node) namespaceOf(t testing.TB, p *testPod) *netmovetest.Namespace {
	t.Helper()
	ns, err := n.OpenNamespace(p.NetnsPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	return ns.(*netmovetest.Namespace)
}

// ageMemories makes what is remembered so old that absence from a list counts.
func (n *node) ageMemories() {
	for _, id := range n.memories.keys() {
		n.memories.look(id, func(one *memory) { one.since = time.Now().Add(-2 * absenceCounts) })
	}
}

// afterAWhile ends a wait for what must not happen.
func afterAWhile() <-chan time.Time { return time.After(50 * time.Millisecond) }

// withMinute is a context with a deadline that nothing meets.
func withMinute(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), time.Minute)
}

// told checks how often a line was logged that begins like this.
func (n *node) told(t *testing.T, times int, begin string) {
	t.Helper()
	n.log.Told(t, times, begin)
}
