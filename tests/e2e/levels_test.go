package e2e_test

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// The runtimes that the levels are shown on. The release of containerd has an
// NRI without failure policies.
var (
	asReleased   = node.Options{}
	validated    = node.Options{Validator: true}
	withPolicy   = node.Options{NRI: node.NRI0125}
	policyAndVal = node.Options{NRI: node.NRI0125, Validator: true}
)

// TestLevels is the table of docs/levels.md: what becomes of a pod, told line
// by line, when the plugin is away or does not answer. All the pods that ask for
// devices are annotated to need the plugin, which means nothing without the
// validator.
func TestLevels(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fault string
		steps func(*testing.T, *trial)
		on    map[node.Options][]string
	}{
		{"away until after the first container", awayForTheFirst, map[node.Options][]string{
			asReleased:   {"pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			withPolicy:   {"pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			validated:    {"pod runs", "container refused: required", "other runs", "back", "container with"},
			policyAndVal: {"pod runs", "container refused: required", "other runs", "back", "container with"},
		}},
		{"back before the first container", backForTheFirst, map[node.Options][]string{
			asReleased:   {"pod runs", "back", "container with"},
			withPolicy:   {"pod runs", "back", "container with"},
			validated:    {"pod runs", "back", "container with"},
			policyAndVal: {"pod runs", "back", "container with"},
		}},
		{"stalled while the pod starts", stalledForThePod, map[node.Options][]string{
			asReleased:   {"pod runs", "resumed", "container with"},
			withPolicy:   {"pod refused: RunPodSandbox timed out", "resumed", "pod runs", "container with"},
			validated:    {"pod runs", "resumed", "container with"},
			policyAndVal: {"pod refused: RunPodSandbox timed out", "resumed", "pod runs", "container with"},
		}},
		{"stalled until after the first container", stalledForTheFirst, map[node.Options][]string{
			asReleased:   {"pod runs", "container without", "other runs", "resumed", "missed", "container refused: missed"},
			withPolicy:   {"pod refused: RunPodSandbox timed out", "pod runs", "container without", "other runs", "resumed", "missed", "container refused: missed"},
			validated:    {"pod runs", "container refused: required", "other runs", "resumed", "container with"},
			policyAndVal: {"pod refused: RunPodSandbox timed out", "pod runs", "container refused: required", "other runs", "resumed", "container with"},
		}},
		{"killed while the pod starts", killedForThePod, map[node.Options][]string{
			asReleased:   {"pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			withPolicy:   {"pod refused: RunPodSandbox lost", "pod runs", "container without", "other runs", "back", "missed", "container refused: missed"},
			validated:    {"pod runs", "container refused: required", "other runs", "back", "container with"},
			policyAndVal: {"pod refused: RunPodSandbox lost", "pod runs", "container refused: required", "other runs", "back", "container with"},
		}},
		{"away for the pod, stalled for its first container", stalledAtTheGate, map[node.Options][]string{
			asReleased:   {"pod runs", "back", "container without", "resumed", "missed", "container refused: missed"},
			withPolicy:   {"pod runs", "back", "container refused: CreateContainer timed out", "resumed", "container with"},
			validated:    {"pod runs", "back", "container without", "resumed", "missed", "container refused: missed"},
			policyAndVal: {"pod runs", "back", "container refused: CreateContainer timed out", "resumed", "container with"},
		}},
		{"away for the pod, killed by its first container", killedAtTheGate, map[node.Options][]string{
			asReleased:   {"pod runs", "back", "container without", "back", "missed", "container refused: missed"},
			withPolicy:   {"pod runs", "back", "container refused: CreateContainer lost", "back", "container with"},
			validated:    {"pod runs", "back", "container without", "back", "missed", "container refused: missed"},
			policyAndVal: {"pod runs", "back", "container refused: CreateContainer lost", "back", "container with"},
		}},
		{"stalled for the first container of a pod with devices", stalledForAContainer, map[node.Options][]string{
			asReleased:   {"pod runs", "container with", "resumed", "container with"},
			withPolicy:   {"pod runs", "container refused: CreateContainer timed out", "container with", "resumed", "container with"},
			validated:    {"pod runs", "container with", "resumed", "container with"},
			policyAndVal: {"pod runs", "container refused: CreateContainer timed out", "container refused: required", "resumed", "container with"},
		}},
	} {
		for opts, want := range tc.on {
			t.Run(tc.fault+"/"+runtimeName(opts), func(t *testing.T) {
				t.Parallel()
				try(t, opts, nodeConfig, tc.steps, want)
			})
		}
	}
}

func runtimeName(opts node.Options) string {
	name := "as released"
	if opts.NRI != "" {
		name = "NRI " + opts.NRI
	}
	if opts.Validator {
		name += " and validator"
	}
	return name
}

// try runs a trial from the beginning to the end, where everything is as before.
func try(t *testing.T, opts node.Options, config string, steps func(*testing.T, *trial), want []string) {
	t.Helper()
	f := startNode(t, opts)
	f.writeConfig(t, config)
	f.plugin = f.startPlugin(t)
	f.devices(t, 1)
	tr := &trial{fixture: f}
	before := f.world(t)
	steps(t, tr)
	if diff := cmp.Diff(want, tr.story); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
	for _, s := range tr.ends {
		f.end(t, s)
	}
	f.homeWithin(t, homeLimit, before)
}

func awayForTheFirst(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.container(t)
	tr.other(t)
	tr.back(t)
	tr.container(t)
}

func backForTheFirst(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.back(t)
	tr.container(t)
}

func stalledForThePod(t *testing.T, tr *trial) {
	tr.plugin.signal(t, syscall.SIGSTOP)
	tr.runPod(t)
	tr.resume(t)
	tr.runPodAgain(t)
	tr.container(t)
}

func stalledForTheFirst(t *testing.T, tr *trial) {
	tr.plugin.signal(t, syscall.SIGSTOP)
	tr.runPod(t)
	tr.runPodAgain(t)
	tr.container(t)
	tr.other(t)
	tr.resume(t)
	tr.container(t)
}

func killedForThePod(t *testing.T, tr *trial) {
	tr.killInFlight(t, tr.runPod)
	tr.runPodAgain(t)
	tr.container(t)
	tr.other(t)
	tr.back(t)
	tr.container(t)
}

func stalledAtTheGate(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.back(t)
	tr.plugin.signal(t, syscall.SIGSTOP)
	tr.container(t)
	tr.resume(t)
	tr.container(t)
}

func killedAtTheGate(t *testing.T, tr *trial) {
	tr.plugin.stop(t)
	tr.runPod(t)
	tr.back(t)
	tr.killInFlight(t, tr.container)
	tr.back(t)
	tr.container(t)
}

func stalledForAContainer(t *testing.T, tr *trial) {
	tr.runPod(t)
	tr.plugin.signal(t, syscall.SIGSTOP)
	tr.container(t)
	tr.containerAgain(t)
	tr.resume(t)
	tr.container(t)
}

// trial is one pod's life on a node, as its owner would tell it.
type trial struct {
	*fixture
	story   []string
	sandbox *node.Sandbox // nil as long as none runs
	ends    []*node.Sandbox
}

func (tr *trial) tell(what string) { tr.story = append(tr.story, what) }

// runPod starts a pod that asks for eth1 and needs the plugin.
func (tr *trial) runPod(t *testing.T) {
	t.Helper()
	p := pod("a", "- {name: eth1, newName: net1}")
	p.RequirePlugin("nri-netdev")
	s, err := tr.RunPod(t.Context(), p)
	if err != nil {
		tr.tell("pod refused: " + reason(err))
		return
	}
	tr.sandbox = s
	tr.ends = append(tr.ends, s)
	tr.tell("pod runs")
}

// runPodAgain is the kubelet, which tries until it runs.
func (tr *trial) runPodAgain(t *testing.T) {
	t.Helper()
	if tr.sandbox == nil {
		tr.runPod(t)
	}
}

// container starts a container, and looks from inside for the device.
func (tr *trial) container(t *testing.T) {
	t.Helper()
	tr.tell("container " + tr.look(t.Context()))
}

// containerAgain is the kubelet, as for pods.
func (tr *trial) containerAgain(t *testing.T) {
	t.Helper()
	if strings.HasPrefix(tr.story[len(tr.story)-1], "container refused") {
		tr.container(t)
	}
}

func (tr *trial) look(ctx context.Context) string { return look(ctx, tr.sandbox) }

// look starts a container in the pod and tells whether it has its device.
func look(ctx context.Context, s *node.Sandbox) string {
	c, err := s.RunContainer(ctx, "c-"+strings.ToLower(rand.Text()))
	if err != nil {
		return "refused: " + reason(err)
	}
	inside, err := c.Network(ctx)
	switch {
	case err != nil:
		return err.Error()
	case strings.Contains(inside, "net1 mtu 1500 up") && strings.Contains(inside, "10.1."):
		return "with"
	}
	return "without"
}

// other starts a pod that asks for nothing, and a container in it.
func (tr *trial) other(t *testing.T) {
	t.Helper()
	s, err := tr.RunPod(t.Context(), node.Pod{Name: "other"})
	if err == nil {
		tr.ends = append(tr.ends, s)
		_, err = s.RunContainer(t.Context(), "c")
	}
	if err != nil {
		tr.tell("other refused: " + reason(err))
		return
	}
	tr.tell("other runs")
}

// back starts the plugin again.
func (tr *trial) back(t *testing.T) {
	t.Helper()
	tr.plugin = tr.startPlugin(t)
	tr.tell("back")
	tr.tellMissed()
}

// resume ends a stall, for which the runtime has dropped the plugin.
func (tr *trial) resume(t *testing.T) {
	t.Helper()
	before := tr.synchronizations()
	tr.plugin.signal(t, syscall.SIGCONT)
	tr.eventually(t, "registration after the stall", func() bool { return tr.synchronizations() > before })
	tr.tell("resumed")
	tr.tellMissed()
}

// tellMissed tells whether the plugin has reported the pod as missed. It does
// so before it is registered.
func (tr *trial) tellMissed() {
	if tr.sandbox != nil && tr.plugin.missed(tr.sandbox) {
		tr.tell("missed")
	}
}

// missed reports whether the plugin has reported the pod.
func (p *pluginProcess) missed(s *node.Sandbox) bool {
	for line := range strings.Lines(p.logs.String()) {
		if strings.Contains(line, "missed: ") && strings.Contains(line, s.ID) {
			return true
		}
	}
	return false
}

// killInFlight kills the plugin while the request of an action waits for it.
func (tr *trial) killInFlight(t *testing.T, act func(*testing.T)) {
	t.Helper()
	tr.plugin.signal(t, syscall.SIGSTOP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		act(t)
	}()
	tr.eventually(t, "request in flight", func() bool { return tr.inFlight(t) })
	tr.plugin.kill(t)
	<-done
}

func (p *pluginProcess) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

var (
	nriServer = regexp.MustCompile(`(?m)^u_str +ESTAB +\d+ +\d+ +\S*/nri\.sock \d+ +\* (\d+)`)
	nriClient = regexp.MustCompile(`(?m)^u_str +ESTAB +([1-9]\d*) +\d+ +\* (\d+)`)
)

// inFlight reports whether there is something on a connection to NRI that the
// plugin has not read.
func (f *fixture) inFlight(t *testing.T) bool {
	t.Helper()
	sockets, err := f.Output("ss", "-xnH")
	if err != nil {
		t.Fatal(err)
	}
	peers := map[string]bool{}
	for _, m := range nriServer.FindAllStringSubmatch(sockets, -1) {
		peers[m[1]] = true
	}
	for _, m := range nriClient.FindAllStringSubmatch(sockets, -1) {
		if peers[m[2]] {
			return true
		}
	}
	return false
}

// reasons are how the errors read that a pod or a container is refused with.
var reasons = []struct {
	text *regexp.Regexp
	says string
}{
	{regexp.MustCompile(`validation error: required plugin "nri-netdev" not present`), "required"},
	{regexp.MustCompile(`pod runs without the devices that it asks for`), "missed"},
	{regexp.MustCompile(`plugin "?10-nri-netdev"? failed to handle (\w+) request: context deadline exceeded`), "$1 timed out"},
	{regexp.MustCompile(`plugin "?10-nri-netdev"? failed to handle (\w+) request: ttrpc: closed`), "$1 lost"},
}

// reason is an error in short, or in full where it is none of those expected.
func reason(err error) string {
	for _, r := range reasons {
		if m := r.text.FindStringSubmatchIndex(err.Error()); m != nil {
			return string(r.text.ExpandString(nil, r.says, err.Error(), m))
		}
	}
	return err.Error()
}
