package e2e_test

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// trial is one pod's life on a node, as its owner would tell it.
type trial struct {
	*fixture
	want    []string // the story as it should be
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
	got := look(t.Context(), tr.sandbox)
	// A late request of an earlier sandbox may have the device until it is undone; the kubelet
	// tries again.
	for tries := 0; tries < 100 && strings.Contains(got, "is in use by pod"); tries++ {
		time.Sleep(100 * time.Millisecond)
		got = look(t.Context(), tr.sandbox)
	}
	tr.tell("container " + got)
}

// containerAgain is the kubelet, as for pods.
func (tr *trial) containerAgain(t *testing.T) {
	t.Helper()
	if strings.HasPrefix(tr.story[len(tr.story)-1], "container refused") {
		tr.container(t)
	}
}

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
	tr.tellMissed(t)
}

// resume ends a stall, for which the runtime has dropped the plugin.
func (tr *trial) resume(t *testing.T) {
	t.Helper()
	before := tr.synchronizations()
	tr.plugin.signal(t, syscall.SIGCONT)
	tr.eventually(t, "registration after the stall", func() bool { return tr.synchronizations() > before })
	tr.tell("resumed")
	tr.tellMissed(t)
}

// tellMissed tells whether the plugin has reported the pod as missed. Where it should, it
// is waited for; where it should not, try looks once more in the end.
func (tr *trial) tellMissed(t *testing.T) {
	t.Helper()
	if tr.sandbox == nil {
		return
	}
	if at := len(tr.story); at < len(tr.want) && tr.want[at] == missed {
		tr.eventually(t, "report of the pod as missed", func() bool { return tr.plugin.missed(tr.sandbox) })
	}
	if tr.plugin.missed(tr.sandbox) {
		tr.tell(missed)
	}
}

// missed is what a story says of a pod that the plugin has reported.
const missed = "missed"

// missed reports whether the plugin has reported the pod.
func (p *pluginProcess) missed(s *node.Sandbox) bool {
	for line := range strings.Lines(p.logs.String()) {
		if strings.Contains(line, "missed: ") && strings.Contains(line, s.ID) {
			return true
		}
	}
	return false
}

// patient has the runtime wait for a plugin's answer for longer than it may take a busy
// machine to see a request that waits.
const patient = `[plugins.'io.containerd.nri.v1.nri']
  plugin_request_timeout = "1m0s"
`

// killInFlight kills the plugin while the request of an action waits for it.
func (tr *trial) killInFlight(t *testing.T, act func(*testing.T)) {
	t.Helper()
	tr.plugin.stall(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		act(t)
	}()
	tr.eventually(t, "request in flight", func() bool { return tr.inFlight(t) })
	tr.plugin.kill(t)
	<-done
}

func (p *pluginProcess) stall(t *testing.T) {
	t.Helper()
	if err := p.Stall(); err != nil {
		t.Fatal(err)
	}
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
