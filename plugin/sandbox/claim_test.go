package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	cdi "tags.cncf.io/container-device-interface/specs-go"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// withPools has the devices in two pools.
const withPools = allowAll + `
pools:
- {name: fast, devices: ["eth1", "eth2"]}
- {name: slow, devices: ["eth3", "eth9"], mixed: true}
`

// claimOf is a claim for the pod, with a request for each device.
func claimOf(p *testPod, uid string, devices ...string) claim.Claim {
	c := claim.Claim{
		UID: uid, Namespace: p.Pod.Namespace, Name: "claim-" + uid,
		Pod: claim.Pod{UID: p.Pod.UID, Namespace: p.Pod.Namespace, Name: p.Pod.Name},
	}
	for i, device := range devices {
		c.Requests = append(c.Requests, claim.Request{Name: fmt.Sprintf("nic-%d", i), Pool: "node-1", Device: device})
	}
	return c
}

// parameters adds opaque parameters to a request.
func parameters(c claim.Claim, i int, fields string) claim.Claim {
	text := strings.TrimSuffix(`{"apiVersion": "netdev.noderesource.dev/v1alpha1", "kind": "NetDevice", `+fields, ", ") + "}"
	c.Requests[i].Parameters = append(c.Requests[i].Parameters, json.RawMessage(text))
	return c
}

// prepare prepares a claim.
func (n *node) prepare(t testing.TB, c claim.Claim) claim.Prepared {
	t.Helper()
	p, err := n.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// specsLeft lists the files of the folder of CDI specifications.
func (n *node) specsLeft(t testing.TB) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(n.cdi)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// spec reads the CDI specification of a claim.
func (n *node) spec(t testing.TB, uid string) (s cdi.Spec) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(n.cdi, "netdev.noderesource.dev-claim-"+uid+".json"))
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nothingReserved lets go of a claim, and checks that nothing is left of it.
func (n *node) nothingReserved(t *testing.T, uid, before string) {
	t.Helper()
	if err := n.Unprepare(uid); err != nil {
		t.Error(err)
	}
	if left := n.journal.Reservations(); len(left) != 0 {
		t.Errorf("reservations are left: %v", left)
	}
	if left := n.specsLeft(t); len(left) != 0 {
		t.Errorf("CDI specifications are left: %q", left)
	}
	n.asBefore(t, before)
}

// inPod checks that the pod is attached and has these devices, and that containers that ask
// for the claim can be made.
func (n *node) inPod(t *testing.T, p *testPod, uid string, devices ...string) {
	t.Helper()
	ns := n.namespaceOf(t, p)
	for _, name := range devices {
		if dev, err := ns.ByName(name); err != nil || !dev.Flags.Up {
			t.Errorf("%s in the pod: %+v, %v", name, dev, err)
		}
	}
	if r, ok := n.journal.Get(p.ID); !ok || r.State != journal.Attached {
		t.Errorf("record: %+v", r)
	}
	if !n.specs.has(uid) {
		t.Error("there is no CDI specification")
	}
}

// gateAnswer is an Answer that looks at the gate.
type gateAnswer struct {
	node  *node
	claim string
	seen  []bool // whether it was open: before the commit, and when the caller is told
}

func (a *gateAnswer) Late() error    { return a.look() }
func (a *gateAnswer) Succeed() error { return a.look() }

func (a *gateAnswer) look() error {
	a.seen = append(a.seen, a.node.specs.has(a.claim))
	return nil
}

// A claim is prepared, its pod starts and ends, and the claim is let go of.
//
// Invariant: the CDI specification of a claim is there only while its pod is attached.
func TestClaimLife(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	before := n.World.String()
	c := parameters(parameters(claimOf(pod, "c-1", "net-eth1", "net-eth3"), 0, `"newName": "net1", "mtu": 9000`), 0, `"mtu": 8000`)
	want := claim.Prepared{Devices: []claim.PreparedDevice{
		{Request: "nic-0", Pool: "node-1", Device: "net-eth1", CDIDevice: "netdev.noderesource.dev/claim=c-1-nic-0"},
		{Request: "nic-1", Pool: "node-1", Device: "net-eth3", CDIDevice: "netdev.noderesource.dev/claim=c-1-nic-1"},
	}}
	for range 2 {
		if diff := cmp.Diff(want, n.prepare(t, c)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(before, n.World.String()); diff != "" || len(n.specsLeft(t)) > 0 {
		t.Errorf("something has moved: %s, or can start: %q", diff, n.specsLeft(t))
	}
	if !n.Claimed(pod.Pod.UID) || n.Claimed("uid-b") {
		t.Error("claims of the wrong pod")
	}
	answer := &gateAnswer{node: n, claim: "c-1"}
	if err := n.Attach(t.Context(), pod.Sandbox, nil, answer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{false, true}, answer.seen); diff != "" {
		t.Errorf("the gate before the commit, and when the caller is told (-want +got):\n%s", diff)
	}
	n.inPod(t, pod, "c-1", "net1", "eth3")
	if dev, err := n.namespaceOf(t, pod).ByName("net1"); err != nil || dev.MTU != 8000 {
		t.Errorf("net1: %+v, %v", dev, err)
	}
	spec := cdi.Spec{Version: "0.5.0", Kind: CDIKind, Devices: []cdi.Device{
		{Name: "c-1-nic-0", ContainerEdits: cdi.ContainerEdits{Env: []string{"NETDEV_CLAIM_NIC_0=net1"}}},
		{Name: "c-1-nic-1", ContainerEdits: cdi.ContainerEdits{Env: []string{"NETDEV_CLAIM_NIC_1=eth3"}}},
	}}
	if diff := cmp.Diff(spec, n.spec(t, "c-1")); diff != "" {
		t.Errorf("CDI (-want +got):\n%s", diff)
	}
	if err := n.create(t, pod); err != nil {
		t.Errorf("a container: %v", err)
	}
	if err := n.Unprepare("c-1"); err == nil || !strings.Contains(err.Error(), `device "eth1" is not home yet: pod default/a has it`) {
		t.Errorf("let go of while the pod has it: %v", err)
	}
	open := true
	n.Interrupt(1, func() { open = n.specs.has("c-1") })
	n.End(pod.ID)
	if open {
		t.Error("the return began with the gate open")
	}
	n.nothingReserved(t, "c-1", before)
	if err := n.Unprepare("c-1"); err != nil {
		t.Errorf("again: %v", err)
	}
}

// Bad input is refused in words, and reserves nothing.
func TestPrepareRefused(t *testing.T) {
	n := newNode(t, withPools)
	pod, other := n.pod("a", ""), n.pod("b", "- name: eth2")
	if err := n.run(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	c := func(devices ...string) claim.Claim { return claimOf(pod, "c-1", devices...) }
	edit := func(f func(*claim.Claim)) claim.Claim {
		one := c("net-eth1")
		f(&one)
		return one
	}
	for name, tc := range map[string]struct {
		claim claim.Claim
		want  string
	}{
		"unknown field": {parameters(c("net-eth1"), 0, `"mtuu": 1`), `claim default/claim-c-1: request "nic-0": parameters[0]: unknown field "mtuu"`},
		"value":         {parameters(parameters(c("net-eth1"), 0, ""), 0, `"mtu": 1`), `claim default/claim-c-1: request "nic-0": parameters[1].mtu: 1 is not between`},
		"selector":      {parameters(c("net-eth1"), 0, `"name": "eth2"`), "parameters[0].name: not allowed"},
		"too large":     {parameters(c("net-eth1"), 0, `"newName": "`+strings.Repeat("x", 10<<10)+`"`), "at most 10240 are allowed"},
		"setting":       {parameters(c("net-eth1"), 0, `"mac": "02:00:00:00:00:77"`), `setting "mac" of device "eth1" is not allowed in namespace "default"`},
		"limit":         {parameters(c("net-eth1"), 0, `"mtu": 9999`), `device "eth1": mtu 9999 is outside the device's limits`},
		"name twice":    {parameters(parameters(c("net-eth1", "net-eth3"), 0, `"newName": "x"`), 1, `"newName": "x"`), `cannot name "eth3" "x" in the pod`},
		"namespace": {
			edit(func(c *claim.Claim) { c.Namespace, c.Pod.Namespace = "other", "other" }),
			`claim other/claim-c-1: device "eth1" is not allowed in namespace "other"`,
		},
		"no such device": {c("net-eth7"), `device "net-eth7" not found on this node`},
		"no pool's":      {c("net-lo"), `device "net-lo" not found on this node`},
		"uplink":         {c("net-eth9"), `device "eth9" carries the node's default route`},
		"in use":         {c("net-eth2"), `device "eth2" is in use by pod default/b`},
		"twice":          {c("net-eth1", "net-eth1"), "are the same device"},
		"one of two":     {c("net-eth1", "net-eth2"), `request "nic-1": device "eth2" is in use`},
		"no device":      {c(), "has no device of this driver"},
		"no UID":         {edit(func(c *claim.Claim) { c.UID = "../x" }), `"../x" is no UID`},
		"no pod's UID":   {edit(func(c *claim.Claim) { c.Pod.UID = "" }), "is reserved for no pod"},
		"no pod's name":  {edit(func(c *claim.Claim) { c.Pod.Name = "" }), "is reserved for no pod"},
		"other pod's":    {edit(func(c *claim.Claim) { c.Pod.Namespace = "other" }), `is reserved for a pod of namespace "other"`},
		"request":        {edit(func(c *claim.Claim) { c.Requests[0].Name = "a/b/c" }), `"a/b/c" is no name of a request`},
		"too many":       {c(make([]string, 33)...), "at most 32 are allowed"},
	} {
		_, err := n.Prepare(tc.claim)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is\n%v\nwant\n%s", name, err, tc.want)
		}
		if left := n.journal.Reservations(); len(left) > 0 {
			t.Errorf("%s: reserved is %v", name, left)
		}
	}
	if err := n.Unprepare("../x"); err == nil {
		t.Error("a path is no UID")
	}
}

// A device that is reserved goes to nobody else, and the claim to no other pod.
func TestReservedForOne(t *testing.T) {
	n := newNode(t, withPools)
	a, b := n.pod("a", ""), n.pod("b", "- name: eth3")
	before := n.World.String()
	n.prepare(t, claimOf(a, "c-1", "net-eth3"))
	const refusal = `device "eth3" is reserved for pod default/a by a resource claim`
	if err := n.run(t.Context(), b); err == nil || err.Error() != refusal {
		t.Errorf("by name: %v", err)
	}
	b.devices = "- pool: slow"
	if err := n.run(t.Context(), b); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("by pool: %v", err)
	}
	if _, err := n.Prepare(claimOf(b, "c-2", "net-eth3")); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("another claim: %v", err)
	}
	if _, err := n.Prepare(claimOf(b, "c-1", "net-eth3")); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("the claim for another pod: %v", err)
	}
	if _, err := n.Prepare(claimOf(a, "c-1", "net-eth1")); err == nil || !strings.Contains(err.Error(), "prepared with other devices") {
		t.Errorf("the claim with another device: %v", err)
	}
	if _, err := n.Move(t.Context(), Move{Device: "eth3", Netns: "pod-b"}, "pod-b"); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("by hand: %v", err)
	}
	const shared = "netdev.noderesource.dev/claim=c-1-nic-0"
	if err := n.CheckCDI("uid-b", shared); err == nil || !strings.Contains(err.Error(), "claim default/claim-c-1 is for pod default/a") {
		t.Errorf("a container of another pod of the claim: %v", err)
	}
	if err := n.CheckCDI("uid-a", shared); err != nil {
		t.Errorf("a container of the pod: %v", err)
	}
	if err := n.CheckCDI("uid-a", CDIKind+"=c-7-nic-0"); err == nil || !strings.Contains(err.Error(), "is not prepared on this node") {
		t.Errorf("a claim that nobody knows: %v", err)
	}
	if IsOurs("vendor.example/gpu=0") || !IsOurs(shared) {
		t.Error("CDI names are taken for others'")
	}
	n.nothingReserved(t, "c-1", before)
	if err := n.run(t.Context(), b); err != nil {
		t.Errorf("the device is not free: %v", err)
	}
}

// Annotation and claims of a pod are one transaction. An entry for a pool is served from the
// claims first, with its own fields over the claim's.
func TestClaimsAndAnnotation(t *testing.T) {
	n := newNode(t, withPools)
	n.driver.ask()
	pod := n.pod("a", "- {pool: fast, newName: net7}\n- {name: eth3, newName: net8}\n")
	before := n.World.String()
	n.prepare(t, parameters(claimOf(pod, "c-1", "net-eth2"), 0, `"newName": "net1", "mtu": 9000`))
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.inPod(t, pod, "c-1", "net7", "net8")
	if dev, err := n.namespaceOf(t, pod).ByName("net7"); err != nil || dev.MTU != 9000 || dev.MAC[5] != '2' {
		t.Errorf("net7: %+v, %v", dev, err)
	}
	n.End(pod.ID)
	// What the annotation wants is not there: the claim's device does not move either.
	pod.devices = "- {pool: fast}\n- name: eth7\n"
	if err := n.run(t.Context(), pod); err == nil || !strings.Contains(err.Error(), `device "eth7" not found`) {
		t.Errorf("error is %v", err)
	}
	// A pool that the claim's device is not of, and one that is not there.
	pod.devices = "- {pool: slow, newName: net8}"
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.inPod(t, pod, "c-1", "net1", "net8")
	n.End(pod.ID)
	pod.devices = "- pool: other"
	if err := n.run(t.Context(), pod); err == nil || !strings.Contains(err.Error(), `pool "other" not found in this node's config`) {
		t.Errorf("error is %v", err)
	}
	// A second entry for the pool, and no claim for it.
	pod.devices = "- {pool: fast}\n- {pool: fast}\n"
	if err := n.run(t.Context(), pod); err == nil || !strings.Contains(err.Error(), `device "eth1" is of pool "fast", whose devices the cluster's scheduler gives away`) {
		t.Errorf("error is %v", err)
	}
	n.nothingReserved(t, "c-1", before)
}

// As long as a driver asks for the node's devices, those of pools are for claims alone,
// unless the pool is mixed. The next process knows, too.
func TestPublished(t *testing.T) {
	n := newNode(t, withPools)
	start := func(name, devices string) error {
		pod := n.pod(name, devices)
		err := n.run(t.Context(), pod)
		n.End(pod.ID)
		return err
	}
	if err := start("a", "- name: eth1\n- pool: fast"); err != nil {
		t.Errorf("without a driver: %v", err)
	}
	n.driver.ask()
	for range 2 {
		for _, devices := range []string{"- name: eth1", "- pool: fast", "- match: {mac: 02:00:00:00:00:31}"} {
			if err := start("b", devices); !errors.Is(err, config.ErrDenied) || !strings.Contains(err.Error(), "ask for one by a resource claim") {
				t.Errorf("%s: %v", devices, err)
			}
		}
		if err := start("c", "- pool: slow"); err != nil {
			t.Errorf("mixed: %v", err)
		}
		n.start(t, withPools)
	}
	n.Sleep(driverAway - time.Second)
	n.driver.ask()
	n.Sleep(driverAway - time.Second)
	if err := start("d", "- name: eth1"); err == nil {
		t.Error("a driver that asks counts as gone")
	}
	n.Sleep(time.Second)
	for range 2 {
		if err := start("e", "- name: eth1"); err != nil {
			t.Errorf("the driver is gone: %v", err)
		}
		n.start(t, withPools)
	}
}

// The reserved device has another name when the pod starts, or is gone, or another device
// has its name.
func TestReservedIsTheDevice(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	n.prepare(t, parameters(claimOf(pod, "c-1", "net-eth1"), 0, `"newName": "net1"`))
	dev, err := n.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.host.Rename(dev.Identity.Index, "eth5"); err != nil {
		t.Fatal(err)
	}
	n.host.Add(netmove.Snapshot{Name: "eth1"})
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if got, err := n.namespaceOf(t, pod).ByName("net1"); err != nil || !got.Identity.Same(dev.Identity) {
		t.Errorf("net1 is %+v, %v", got, err)
	}
	n.End(pod.ID)
	n.host.Remove("eth5")
	if err := n.run(t.Context(), pod); err == nil || !strings.Contains(err.Error(), `device "eth1", which is reserved for the pod, not found on this node`) {
		t.Errorf("error is %v", err)
	}
	if err := n.Unprepare("c-1"); err != nil {
		t.Error(err)
	}
}

// The process ends between any two requests of a start: the next one has the reservation,
// and no specification unless the pod has all. Then the pod starts.
func TestCrashWithAClaim(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, withPools)
		pod := n.pod("a", "")
		before := n.World.String()
		c := parameters(claimOf(pod, "c-1", "net-eth1", "net-eth2"), 0, `"newName": "net1"`)
		n.Crash(step)
		crashed := func() (crashed bool) {
			defer func() { crashed = recover() != nil }()
			n.prepare(t, c)
			if err := n.run(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			return false
		}()
		n.Fail(0, netmovetest.Never)
		if !crashed {
			enough(t, step)
			return
		}
		n.EndProcess()
		n.start(t, withPools)
		if left := n.specsLeft(t); len(left) > 0 {
			t.Errorf("step %d: CDI specifications are left: %q", step, left)
		}
		n.Recover()
		n.asBefore(t, before)
		n.prepare(t, c)
		if err := n.run(t.Context(), pod); err != nil {
			t.Errorf("step %d: %v", step, err)
		}
		n.inPod(t, pod, "c-1", "net1", "eth2")
		n.End(pod.ID)
		n.nothingReserved(t, "c-1", before)
	}
}

// Every request to the kernel fails in turn, from Prepare to Unprepare: nothing is lost, the
// gate is never open for a pod without its devices, and in the end all is as before.
func TestEveryStepWithAClaimFails(t *testing.T) {
	for step := 1; ; step++ {
		n := newNode(t, withPools)
		pod := n.pod("a", "")
		before := n.World.String()
		n.Fail(step, netmovetest.Before)
		_, err := n.Prepare(claimOf(pod, "c-1", "net-eth1", "net-eth2"))
		if err != nil && len(n.journal.Reservations()) != 0 {
			t.Errorf("step %d: reserved in spite of %v", step, err)
		}
		if err == nil {
			_ = n.run(t.Context(), pod) // what it says, the gate must agree with
			if r, ok := n.journal.Get(pod.ID); n.specs.has("c-1") != (ok && r.State == journal.Attached) {
				t.Errorf("step %d: the gate is open: %v, record %+v", step, n.specs.has("c-1"), r)
			}
		}
		n.End(pod.ID)
		if n.specs.has("c-1") {
			t.Errorf("step %d: the gate is open after the end", step)
		}
		met := n.Calls() >= step
		n.Fail(0, netmovetest.Never)
		n.sweep()
		n.Sleep(sweepEvery)
		n.sweep()
		n.nothingReserved(t, "c-1", before)
		if !met {
			enough(t, step)
			return
		}
	}
}

// The plugin dies between Prepare and the start of the pod: the sandbox is made without it,
// and the gate holds its containers. The next process attaches.
func TestAttachListed(t *testing.T) {
	n := newNode(t, withPools)
	a, b, c := n.pod("a", ""), n.pod("b", "- {pool: slow, newName: net1}"), n.pod("c", "")
	before := n.World.String()
	n.prepare(t, claimOf(a, "c-1", "net-eth1"))
	n.prepare(t, claimOf(b, "c-2", "net-eth3"))
	n.prepare(t, claimOf(c, "c-3", "net-eth2"))
	n.start(t, withPools)
	n.list([]*testPod{a, b, c}, c)
	n.Fail(5, netmovetest.Before) // tried again
	n.sweep()
	n.Fail(0, netmovetest.Never)
	for range 2 * len([]*testPod{a, b, c}) { // a sweep does no more than fits into readFor
		n.Sleep(sweepEvery)
		n.sweep()
	}
	n.inPod(t, a, "c-1", "eth1")
	n.inPod(t, b, "c-2", "net1")
	r := n.recordOf(t, a)
	if len(r.Devices[0].Differences) != 1 || r.Devices[0].Differences[0].Attribute != "late" {
		t.Errorf("differences are %v", r.Devices[0].Differences)
	}
	if missed := n.Missed(); len(missed) != 1 || missed[0].Pod != "default/c" {
		t.Errorf("missed are %v", missed)
	}
	if err := n.create(t, c); !errors.Is(err, ErrMissed) {
		t.Errorf("a container of a pod that runs without: %v", err)
	}
	for _, p := range []*testPod{a, b, c} {
		n.End(p.ID)
	}
	for _, uid := range []string{"c-1", "c-2"} {
		if err := n.Unprepare(uid); err != nil {
			t.Error(err)
		}
	}
	n.nothingReserved(t, "c-3", before)
}

// A specification that somebody removes is there again, one of a claim whose device is lost
// goes, and what an earlier process has left goes at the start.
func TestGateIsTended(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	n.prepare(t, claimOf(pod, "c-1", "net-eth1"))
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.specs.remove("c-1"), os.WriteFile(filepath.Join(n.cdi, ".netdev.noderesource.dev-claim-c-1.json7"), nil, 0o600),
		os.WriteFile(n.specs.path("c-2"), nil, 0o600), os.WriteFile(filepath.Join(n.cdi, "other.json"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	n.start(t, withPools)
	n.Recover()
	if diff := cmp.Diff([]string{"netdev.noderesource.dev-claim-c-1.json", "other.json"}, n.specsLeft(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	n.namespaceOf(t, pod).Remove("eth1")
	for range looksInVain {
		n.sweep()
	}
	n.sweep()
	if n.specs.has("c-1") {
		t.Error("the gate is open for a pod that has lost its device")
	}
	n.End(pod.ID)
	if err := n.Unprepare("c-1"); err != nil {
		t.Errorf("a lost device is not waited for: %v", err)
	}
}

// breaking is an Answer that breaks the journal before the commit.
type breaking struct{ *node }

func (b breaking) Late() error {
	b.breakJournal()
	return nil
}

func (breaking) Succeed() error { return nil }

// The gate opens only after the commit is on disk, and closes when the caller was not told.
func TestGateOfAnAttachThatFails(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	before := n.World.String()
	n.prepare(t, claimOf(pod, "c-1", "net-eth1"))
	if err := n.Attach(t.Context(), pod.Sandbox, nil, refusal{}); !errors.Is(err, errNobodyWaits) {
		t.Errorf("error is %v", err)
	}
	if n.specs.has("c-1") {
		t.Error("the gate is open, and the caller was told of a failure")
	}
	was, err := os.Stat(n.cdi)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Attach(t.Context(), pod.Sandbox, nil, breaking{n}); err == nil {
		t.Error("attached without a record")
	}
	n.mendJournal()
	if is, err := os.Stat(n.cdi); err != nil || !is.ModTime().Equal(was.ModTime()) {
		t.Errorf("the gate was open before the commit: %v", err)
	}
	n.sweep()
	n.Sleep(sweepEvery)
	n.sweep()
	n.nothingReserved(t, "c-1", before)
}

// What an earlier process has left goes before anything else is done, and the specification
// of a pod that has its devices is there all the time.
func TestGateAfterARestart(t *testing.T) {
	n := newNode(t, withPools)
	a, b := n.pod("a", ""), n.pod("b", "")
	n.prepare(t, claimOf(a, "c-1", "net-eth1"))
	n.prepare(t, claimOf(b, "c-2", "net-eth2"))
	if err := errors.Join(n.run(t.Context(), a), n.run(t.Context(), b)); err != nil {
		t.Fatal(err)
	}
	r := *n.recordOf(t, b)
	r.State = journal.Returning
	if err := n.journal.Put(&r); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(n.specs.path("c-1"))
	if err != nil {
		t.Fatal(err)
	}
	n.start(t, withPools)
	if n.specs.has("c-2") {
		t.Error("the gate is open for a pod whose devices are on their way home")
	}
	n.Recover()
	if after, err := os.Stat(n.specs.path("c-1")); err != nil || !os.SameFile(before, after) {
		t.Errorf("the gate of a running pod was closed meanwhile: %v", err)
	}
}

// There is no folder of specifications yet: it is made. One that cannot be removed is told,
// and does not keep the device from coming home.
func TestGateFolder(t *testing.T) {
	n := newNode(t, withPools)
	n.specs.folder = filepath.Join(n.cdi, "a", "b")
	pod := n.pod("a", "")
	n.prepare(t, claimOf(pod, "c-1", "net-eth1"))
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.inPod(t, pod, "c-1", "eth1")
	inTheWay := filepath.Join(n.specs.path("c-1"), "file")
	if err := errors.Join(os.Remove(n.specs.path("c-1")), os.MkdirAll(inTheWay, 0o700)); err != nil {
		t.Fatal(err)
	}
	n.namespaceOf(t, pod).Remove("eth1")
	for range looksInVain + 1 {
		n.sweep()
		n.Sleep(lookEvery)
	}
	n.told(t, 1, "ERROR cannot tend the gate of the pod's claims err=remove the CDI specification of claim c-1")
	n.End(pod.ID)
	n.told(t, 1, "ERROR cannot close the gate of its claims err=remove the CDI specification of claim c-1")
	if err := n.Unprepare("c-1"); err == nil || !strings.Contains(err.Error(), "remove the CDI specification of claim c-1") {
		t.Errorf("error is %v", err)
	}
	if err := os.RemoveAll(n.specs.path("c-1")); err != nil {
		t.Fatal(err)
	}
	if err := n.Unprepare("c-1"); err != nil {
		t.Errorf("again: %v", err)
	}
}

// A pod with a claim and an annotation that is not valid gets nothing when it is listed, and
// that is told once.
func TestListedWithABadAnnotation(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "- nam: eth3")
	n.prepare(t, claimOf(pod, "c-1", "net-eth1"))
	before := n.World.String()
	n.list([]*testPod{pod})
	for range 3 {
		n.Sleep(sweepEvery)
		n.sweep()
	}
	n.told(t, 1, "ERROR the pod waits for the devices of its claims, trying again err="+config.Annotation+"[0]")
	if diff := cmp.Diff(before, n.World.String()); diff != "" || n.specs.has("c-1") {
		t.Errorf("something has moved, or can start:\n%s", diff)
	}
}

// The specification cannot be written: the pod is refused, and all is as before.
func TestGateCannotOpen(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	before := n.World.String()
	n.prepare(t, claimOf(pod, "c-1", "net-eth1"))
	if err := os.Mkdir(n.specs.path("c-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), pod); err == nil || !strings.Contains(err.Error(), "write the CDI specification of claim default/claim-c-1") {
		t.Errorf("error is %v", err)
	}
	n.nothingReserved(t, "c-1", before)
}

// An operator takes one device of a claim: no other container that names the claim starts.
func TestGateByHand(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	n.prepare(t, claimOf(pod, "c-1", "net-eth1", "net-eth2"))
	n.prepare(t, claimOf(pod, "c-2", "net-eth3"))
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	open := true
	n.Interrupt(1, func() { open = n.specs.has("c-1") })
	if r, err := n.ReturnByHand(Selection{Devices: []string{"eth1"}}); err != nil || len(r.Problems) > 0 {
		t.Fatal(err, r.Problems)
	}
	n.sweep()
	if open || n.specs.has("c-1") || !n.specs.has("c-2") {
		t.Errorf("the gate is open when the return begins: %v, then: %v; the other claim's: %v", open, n.specs.has("c-1"), n.specs.has("c-2"))
	}
}

// Without a valid node config nothing is prepared, and what is prepared has its devices as
// soon as the config is right.
func TestPrepareWithoutConfig(t *testing.T) {
	n := newNode(t, withPools)
	a, b := n.pod("a", ""), n.pod("b", "")
	n.prepare(t, claimOf(a, "c-1", "net-eth1"))
	valid := n.Config()
	n.SetConfig(config.Invalid(errors.New("line 7")))
	if _, err := n.Prepare(claimOf(b, "c-2", "net-eth2")); err == nil || !strings.Contains(err.Error(), "line 7") {
		t.Errorf("error is %v", err)
	}
	if _, err := n.Prepare(claimOf(a, "c-1", "net-eth1")); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := n.run(t.Context(), a); err == nil || !strings.Contains(err.Error(), "line 7") {
		t.Errorf("error is %v", err)
	}
	n.SetConfig(valid)
	if err := n.run(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// The sandbox dies and the pod lives: the next one has the devices, without another Prepare.
func TestNextSandboxOfAClaim(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	n.prepare(t, claimOf(pod, "c-1", "net-eth1"))
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.namespaceOf(t, pod).Leave()
	again := n.pod("b", "")
	again.Pod = pod.Pod
	if err := n.run(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	n.inPod(t, again, "c-1", "eth1")
	n.End(pod.ID)
	n.inPod(t, again, "c-1", "eth1")
}

// Many claims want one device at a time: one gets it.
func TestPrepareRace(t *testing.T) {
	n := newNode(t, withPools)
	pods := make([]*testPod, 10)
	for i := range pods {
		pods[i] = n.pod(fmt.Sprint(i), "- name: eth1")
	}
	var wg sync.WaitGroup
	won := make([]bool, len(pods))
	for i, pod := range pods {
		wg.Go(func() {
			if i%2 == 0 {
				_, err := n.Prepare(claimOf(pod, "c-"+fmt.Sprint(i), "net-eth1"))
				won[i] = err == nil
			} else {
				won[i] = n.run(t.Context(), pod) == nil
			}
		})
	}
	wg.Wait()
	winners := 0
	for _, w := range won {
		if w {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d have the device", winners)
	}
}

// Several devices of one request, and a subrequest, have names of their own.
func TestCDINames(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	c := claimOf(pod, "c-1", "net-eth1", "net-eth2", "net-eth3")
	c.Requests[0].Name, c.Requests[1].Name, c.Requests[2].Name = "nic", "nic", "nic/fast"
	var names []string
	for _, d := range n.prepare(t, c).Devices {
		names = append(names, strings.TrimPrefix(d.CDIDevice, CDIKind+"="))
	}
	if diff := cmp.Diff([]string{"c-1-nic", "c-1-nic_1", "c-1-nic.fast"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
