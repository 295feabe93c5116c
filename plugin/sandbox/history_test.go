package sandbox

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// history is a node with a random past: pods that start and end, hostile
// pods, names taken on the host, steps that fail, and a process that dies
// between any two requests to the kernel. What pods build on their devices, or
// attach to them, is never on one that is up on the host.
type history struct {
	*node
	rand   *rand.Rand
	pods   []*testPod
	claims map[string]string        // by the pod's UID
	n      int                      // pods so far
	took   []string                 // names taken on the host
	nested []*netmovetest.Namespace // of pods, held by somebody
	past   []string                 // what happened, for the report
}

// Random histories: whatever happened, each device is in exactly one place at
// any time, and once all pods have ended and all names are free, the host is as
// before, and nothing is kept of them.
func TestRandomHistories(t *testing.T) {
	histories := 300
	if n, err := strconv.Atoi(os.Getenv("NRI_NETDEV_HISTORIES")); err == nil {
		histories = n
	}
	if testing.Short() {
		histories = 50
	}
	for seed := range histories {
		if !t.Run(strconv.Itoa(seed), func(t *testing.T) { runHistory(t, uint64(seed)) }) {
			return
		}
	}
}

func runHistory(t *testing.T, seed uint64) {
	h := &history{node: newNode(t, withPools), claims: map[string]string{}, rand: rand.New(rand.NewPCG(seed, 0))}
	defer func() {
		if t.Failed() {
			t.Logf("history:\n%s\nworld:\n%s", strings.Join(h.past, "\n"), h.World)
		}
	}()
	before := h.World.String()
	for range 12 {
		h.event(t)
		h.checkPlaces(t)
		h.checkGate(t)
		if up := h.host.Burdened(); len(up) > 0 {
			t.Errorf("devices are up with something of a pod's: %q", up)
		}
	}
	h.settle(t)
	if diff := cmp.Diff(before, hostOnly(h.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
	if left := h.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
	if left := h.specsLeft(t); len(left) > 0 || len(h.journal.Reservations()) > 0 {
		t.Errorf("left of claims are %q, %v", left, h.journal.Reservations())
	}
	if strings.Contains(h.World.String(), h.state) {
		t.Error("a pin is left")
	}
}

// hostOnly is the part of a world that is about the host.
func hostOnly(world string) string {
	_, host, _ := strings.Cut(world, "host\n")
	host, _, _ = strings.Cut(host, "pod-")
	return "host\n" + host
}

func (h *history) note(format string, args ...any) {
	h.past = append(h.past, fmt.Sprintf(format, args...))
}

// event is one thing that happens.
func (h *history) event(t *testing.T) {
	switch h.rand.IntN(8) {
	case 0, 1, 2:
		h.startPod(t)
	case 3, 4:
		h.endPod(t)
	case 5:
		h.tamper(t)
	case 6:
		h.takeName()
	case 7:
		h.restart(t)
	}
}

// disturbed runs an operation of the plugin, which may fail at a step or die
// at one; then the next process takes over.
func (h *history) disturbed(t *testing.T, what string, op func()) {
	step := 1 + h.rand.IntN(40)
	switch h.rand.IntN(4) {
	case 0:
		h.note("%s, request %d fails", what, step)
		h.Fail(step, netmovetest.Before)
	case 1:
		h.note("%s, the answer to request %d is lost", what, step)
		h.Fail(step, netmovetest.After)
	case 2:
		h.note("%s, the process dies at request %d", what, step)
		h.Crash(step)
	default:
		h.note("%s", what)
	}
	died := func() (died bool) {
		defer func() { died = recover() != nil }()
		op()
		return false
	}()
	h.Fail(0, netmovetest.Never)
	if died {
		h.restart(t)
	}
}

func (h *history) startPod(t *testing.T) {
	h.n++
	var list strings.Builder
	for _, i := range h.rand.Perm(3)[:1+h.rand.IntN(3)] {
		fmt.Fprintf(&list, "- {name: eth%d, newName: %s}\n", i+1, []string{"net1", "net2", "net3", "eth1", "eth2", "eth3"}[h.rand.IntN(6)])
	}
	pod := h.pod(strconv.Itoa(h.n), list.String())
	if h.rand.IntN(2) == 0 {
		pod.devices = ""
		h.claim(t, pod)
	}
	h.disturbed(t, "start "+pod.Pod.Name, func() {
		if err := h.run(t.Context(), pod); err != nil {
			h.note("  refused: %v", err)
		}
	})
	h.pods = append(h.pods, pod)
}

// claim has a claim for one or two devices prepared for a pod.
func (h *history) claim(t *testing.T, pod *testPod) {
	uid := "c-" + strconv.Itoa(h.n)
	h.claims[pod.Pod.UID] = uid
	var devices []string
	for _, i := range h.rand.Perm(3)[:1+h.rand.IntN(2)] {
		devices = append(devices, fmt.Sprintf("net-eth%d", i+1))
	}
	h.disturbed(t, "prepare "+uid, func() {
		if _, err := h.Prepare(parameters(claimOf(pod, uid, devices...), 0, `"newName": "net1"`)); err != nil {
			h.note("  refused: %v", err)
		}
	})
}

// unprepare lets go of the claims of pods that have ended, as far as that goes.
func (h *history) unprepare() {
	for _, pod := range slices.Sorted(maps.Keys(h.claims)) {
		uid := h.claims[pod]
		if slices.ContainsFunc(h.pods, func(p *testPod) bool { return p.Pod.UID == pod }) {
			continue
		}
		if err := h.Unprepare(uid); err == nil {
			h.note("%s is let go of", uid)
			delete(h.claims, pod)
		}
	}
}

// checkGate checks that there are specifications only of claims whose pods are attached.
func (h *history) checkGate(t *testing.T) {
	t.Helper()
	for _, name := range h.specsLeft(t) {
		uid := strings.TrimSuffix(strings.TrimPrefix(name, specPrefix), specSuffix)
		attached := func(r *journal.Record) bool { return r.State == journal.Attached && slices.Contains(r.Claims, uid) }
		if !slices.ContainsFunc(h.journal.All(), attached) {
			t.Errorf("%s is there, and no pod has the devices", name)
		}
	}
}

// endPod ends a pod, with or without a hook.
func (h *history) endPod(t *testing.T) {
	if len(h.pods) == 0 {
		return
	}
	i := h.rand.IntN(len(h.pods))
	pod := h.pods[i]
	h.pods = slices.Delete(h.pods, i, i+1)
	ns := h.namespace(t, pod)
	ns.Leave()
	if h.rand.IntN(2) == 0 {
		h.disturbed(t, "end "+pod.Pod.Name, func() { _ = h.stop(t.Context(), pod) })
	} else {
		h.note("end %s, no hook", pod.Pod.Name)
	}
	h.RemoveNamespace("pod-" + pod.Pod.Name)
	h.disturbed(t, "sweep", func() { h.sweep() })
	h.unprepare()
}

func (h *history) namespace(t *testing.T, pod *testPod) *netmovetest.Namespace {
	t.Helper()
	ns, err := h.OpenNamespace("pod-" + pod.Pod.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Close(); err != nil {
		t.Fatal(err)
	}
	return ns.(*netmovetest.Namespace)
}

// tamper is what a pod with NET_ADMIN does to its devices.
func (h *history) tamper(t *testing.T) {
	if len(h.pods) == 0 {
		return
	}
	pod := h.pods[h.rand.IntN(len(h.pods))]
	ns := h.namespace(t, pod)
	for _, name := range []string{"net1", "net2", "net3", "eth1", "eth2", "eth3"} {
		dev, err := ns.ByName(name)
		if err != nil {
			continue
		}
		h.note("tamper with %s in %s", name, pod.Pod.Name)
		i := dev.Identity.Index
		for _, change := range []func() error{
			func() error { return ns.Rename(i, "mine"+strconv.Itoa(i)) },
			func() error { return ns.SetMAC(i, netmove.MAC{6, 6, 6, 6, 6, 6}) },
			func() error { return ns.SetMTU(i, 100) },
			func() error { return ns.SetUp(i, false) },
			func() error { return ns.AddAltname(i, "eth"+strconv.Itoa(1+h.rand.IntN(3))) },
			func() error { return ns.SetAlias(i, "eth9") },
		} {
			if h.rand.IntN(2) == 0 {
				_ = change() // a pod may try what it likes
			}
		}
		h.leave(ns, dev)
	}
}

// leave is what a pod leaves on its device.
func (h *history) leave(ns *netmovetest.Namespace, dev netmove.Snapshot) {
	i := dev.Identity.Index
	switch h.rand.IntN(5) {
	case 0:
		h.note("  stacks a device")
		ns.AddUpper(ns, i, netmove.Snapshot{Name: "upper" + strconv.Itoa(h.rand.IntN(1000))})
	case 1:
		h.nest(ns, i)
	case 2, 3:
		h.note("  attaches a program")
		hooks := []netmove.Hook{netmove.XDPGeneric, netmove.XDPDriver, netmove.TCXIngress, netmove.TCXEgress}
		ns.AttachProgram(i, netmove.Program{Hook: hooks[h.rand.IntN(4)], ID: h.rand.Uint32(), Link: h.rand.Uint32N(2)})
		if h.rand.IntN(3) == 0 {
			h.note("  that cannot be removed")
			h.Hold(dev.Identity.Inode, true)
		}
	}
}

// nest has a pod stack a device and move it on to another namespace, which may
// be hard to tell from somebody else's.
func (h *history) nest(ns *netmovetest.Namespace, on int) {
	u := ns.AddUpper(ns, on, netmove.Snapshot{Name: "upper" + strconv.Itoa(h.rand.IntN(1000))})
	nested := ns.Nest(u.Identity.Index)
	entered, shared := h.rand.IntN(2) == 0, h.rand.IntN(2) == 0
	h.note("  nests a device, entered %v, known to the host %v", entered, shared)
	if entered {
		nested.Enter()
	}
	if shared {
		nested.Share()
	}
	h.nested = append(h.nested, nested)
}

// takeName gives a device's name, or altname, to another device of the host.
func (h *history) takeName() {
	name := []string{"eth", "alt-eth"}[h.rand.IntN(2)] + strconv.Itoa(1+h.rand.IntN(3))
	if taken, err := h.host.NameTaken(name); err == nil && !taken {
		h.note("the host takes %s", name)
		// A device that no pod can have, so that it stays.
		h.host.AddDevice(netmove.Device{Snapshot: netmove.Snapshot{Name: name}, Facts: netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default table main", Device: name}}}})
		h.took = append(h.took, name)
	}
}

func (h *history) restart(t *testing.T) {
	h.note("restart")
	h.EndProcess()
	h.start(t, withPools)
	h.Recover()
}

// settle ends all that goes on, frees all names, and lets the sweep run.
func (h *history) settle(t *testing.T) {
	for len(h.pods) > 0 {
		h.endPod(t)
	}
	for _, name := range h.took {
		h.host.Remove(name)
	}
	for _, ns := range h.nested {
		ns.Leave()
		ns.Release()
	}
	for inode := uint64(1002); inode <= 1004; inode++ { // eth1 to eth3
		h.Hold(inode, false)
	}
	h.note("settle")
	for range enoughTries {
		h.sweep()
	}
	for _, a := range h.Status().Attachments {
		if a.State != StateQuarantined {
			t.Errorf("%s is %s: %s", a.Device, a.State, a.Problem)
		}
		if r, err := h.ReturnByHand(Selection{Devices: []string{a.Device}}); err != nil || len(r.Problems) > 0 {
			t.Error(err, r.Problems)
		}
	}
	h.unprepare()
	// Where an index was taken on the host, the device has another one now.
	h.host.Renumber()
}

// checkPlaces checks that each device is somewhere, and nowhere else, and that
// what is away from the host is in the journal.
func (h *history) checkPlaces(t *testing.T) {
	t.Helper()
	world := h.World.String()
	for inode := 1002; inode <= 1004; inode++ { // eth1 to eth3
		mark := fmt.Sprintf(" inode %d ", inode)
		places := map[string]bool{}
		for section := range strings.SplitSeq(strings.ReplaceAll(world, "\n  ", "\x00"), "\n") {
			if strings.Contains(section, mark) {
				place, rest, _ := strings.Cut(section, "\x00")
				places[rest] = true // a pin shows the same namespace again
				if place != "host" && !h.recorded(uint64(inode)) {
					t.Errorf("device %d is in %s, without a record", inode, place)
				}
			}
		}
		if len(places) != 1 {
			t.Errorf("device %d is in %d places:\n%s", inode, len(places), world)
		}
	}
}

func (h *history) recorded(inode uint64) bool {
	return slices.ContainsFunc(h.journal.All(), func(r *journal.Record) bool {
		return slices.ContainsFunc(r.Devices, func(a netmove.Attachment) bool { return a.Before.Identity.Inode == inode })
	})
}
