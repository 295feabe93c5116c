package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// node is a plugin on a node in memory, with a real journal.
type node struct {
	*netmovetest.World
	*Plugin
	host    *netmovetest.Namespace
	journal *journal.Journal
	state   string
	cdi     string // folder of CDI specifications
}

const allowAll = plugintest.AllowAll

func newNode(t testing.TB, text string) *node {
	t.Helper()
	w := netmovetest.New()
	n := &node{World: w, host: w.AddNamespace("host"), state: t.TempDir(), cdi: t.TempDir()}
	for _, name := range []string{"eth1", "eth2"} {
		n.host.Add(netmove.Snapshot{Name: name, MTU: 1500, MaxMTU: 9600, Flags: netmove.LinkFlags{Up: true}})
	}
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var problems []error
	if n.journal, problems, err = journal.Open(n.state, "boot-1"); err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	log := slog.New(slog.DiscardHandler)
	n.Plugin = New(n.World, &netmove.Mover{Now: n.World.Now, Host: n.host, Log: log}, n.journal, sandbox.Folders{State: n.state, CDI: n.cdi}, c, log)
	return n
}

// pod makes a sandbox with a namespace of its own.
func (n *node) pod(name, devices string) *api.PodSandbox {
	path := "pod-" + name
	n.AddNamespace(path).Add(netmove.Snapshot{Name: "eth0"})
	return &api.PodSandbox{
		Id: "sandbox-" + name, Name: name, Namespace: "default", Uid: "uid-" + name,
		Annotations: map[string]string{config.Annotation: devices},
		Linux:       &api.LinuxPodSandbox{Namespaces: []*api.LinuxNamespace{{Type: "ipc", Path: "other"}, {Type: "network", Path: path}}},
	}
}

// asBefore checks that nothing is different and nothing is left.
func (n *node) asBefore(t *testing.T, before string) {
	t.Helper()
	if diff := cmp.Diff(before, n.World.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if left := n.journal.All(); len(left) > 0 {
		t.Errorf("records are left: %v", left)
	}
}

// hasDevices reports whether the pod is published as attached.
func (n *node) hasDevices(pod *api.PodSandbox) bool {
	r, ok := n.journal.Get(pod.Id)
	return ok && r.State == journal.Attached
}

// create asks for a container of the pod.
func (n *node) create(t *testing.T, pod *api.PodSandbox) error {
	t.Helper()
	adjust, updates, err := n.CreateContainer(t.Context(), pod, &api.Container{Id: "c", PodSandboxId: pod.Id})
	if adjust != nil || updates != nil {
		t.Errorf("the container is adjusted: %v, %v", adjust, updates)
	}
	return err
}

// leave ends the processes of the pod.
func (n *node) leave(t *testing.T, pod *api.PodSandbox) {
	t.Helper()
	ns, err := n.OpenNamespace(netnsPath(pod))
	if err != nil {
		t.Fatal(err)
	}
	ns.(*netmovetest.Namespace).Leave()
	if err := ns.Close(); err != nil {
		t.Error(err)
	}
}

// metric is the value of a metric, as text.
func (n *node) metric(t *testing.T, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	n.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// All problems of a pod come in one line, as events show them.
func TestOneLine(t *testing.T) {
	n := newNode(t, allowAll)
	err := n.RunPodSandbox(t.Context(), n.pod("a", "- name: eth7\n- name: eth8\n"))
	if text := fmt.Sprint(err); !strings.Contains(text, "eth7") || !strings.Contains(text, "eth8") || strings.Contains(text, "\n") {
		t.Errorf("error is %v", err)
	}
}

// A pod's life, from the runtime's side, and what is counted of it.
func TestPodIsCounted(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	before := n.World.String()
	if err := errors.Join(n.RunPodSandbox(t.Context(), pod), n.create(t, pod)); err != nil {
		t.Fatal(err)
	}
	if err := n.RunPodSandbox(t.Context(), n.pod("b", "- name: eth1")); err == nil {
		t.Error("two pods have one device")
	}
	if err := n.create(t, n.pod("c", "- nam: eth1")); err == nil {
		t.Error("a bad annotation passes the gate")
	}
	for name, want := range map[string]string{
		`nri_netdev_devices{state="attached"}`:                           "1",
		`nri_netdev_pins`:                                                "0", // files, of which a kernel in memory makes none
		`nri_netdev_attaches_total{result="attached"}`:                   "1",
		`nri_netdev_attaches_total{result="refused"}`:                    "2",
		`nri_netdev_refusals_total{reason="in_use"}`:                     "1",
		`nri_netdev_refusals_total{reason="annotation"}`:                 "1",
		`nri_netdev_returns_total{result="returned"}`:                    "0",
		`nri_netdev_missed_pods`:                                         "0",
		`nri_netdev_move_duration_seconds_count`:                         "1",
		`nri_netdev_registered`:                                          "0",
		`nri_netdev_recovered`:                                           "0",
		`nri_netdev_attach_duration_seconds_count`:                       "1",
		`nri_netdev_hook_duration_seconds_count{hook="CreateContainer"}`: "2",
	} {
		if got := n.metric(t, name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
	if err := n.StopPodSandbox(t.Context(), pod); err != nil {
		t.Error(err)
	}
	if got := n.metric(t, `nri_netdev_return_duration_seconds_count`); got != "1" {
		t.Errorf("%q tries to return are counted", got)
	}
	if got := n.metric(t, `nri_netdev_returns_total{result="returned"}`); got != "1" {
		t.Errorf("%q returns are counted", got)
	}
	n.RemoveNamespace("pod-b")
	n.RemoveNamespace("pod-c")
	n.asBefore(t, before)
}

// The kernel does not come back in time: the hook answers, the work is undone
// behind it.
func TestOutOfTime(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1\n- name: eth2\n")
	before := n.World.String()
	unblock := n.Block()
	ctx, cancel := context.WithTimeout(t.Context(), answerMargin+100*time.Millisecond)
	defer cancel()
	err := n.RunPodSandbox(ctx, pod)
	if fmt.Sprint(err) != errOutOfTime.Error() {
		t.Errorf("error is %v", err)
	}
	if ctx.Err() != nil {
		t.Error("the answer came after the runtime's deadline")
	}
	// What the runtime does after a refusal must wait for nothing.
	stopCtx, cancelStop := context.WithTimeout(t.Context(), answerMargin+20*time.Millisecond)
	defer cancelStop()
	if err := n.StopPodSandbox(stopCtx, pod); err != nil {
		t.Error(err)
	}
	unblock()
	n.working.Wait()
	n.asBefore(t, before)
}

// The runtime has dropped the plugin while it was stopped, and went on: what it
// asked for then is undone, in the journal as in the world.
func TestRuntimeGoneMeanwhile(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1\n- name: eth2\n")
	before := n.World.String()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.RunPodSandbox(ctx, pod); fmt.Sprint(err) != errLate.Error() {
		t.Errorf("error is %v", err)
	}
	if n.hasDevices(pod) {
		t.Error("the pod counts as having its devices")
	}
	n.asBefore(t, before)
	if err := n.create(t, pod); err != nil { // to no container's harm
		t.Error(err)
	}
}

// A pod that asks for nothing costs nothing: no request to the kernel, no
// file, no allocation.
func TestPodsOfOthers(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "")
	pod.Annotations = map[string]string{"example.com/other": "x"}
	if err := os.RemoveAll(n.state); err != nil { // any access would fail
		t.Fatal(err)
	}
	n.Fail(0, netmovetest.Never)
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if err := errors.Join(n.RunPodSandbox(ctx, pod), n.StopPodSandbox(ctx, pod), n.RemovePodSandbox(ctx, pod)); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 || n.Calls() != 0 {
		t.Errorf("%v allocations and %d requests for a pod of others", allocs, n.Calls())
	}
}
