package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

const annotation = "netdevices.noderesource.dev/pod"

func TestMain(m *testing.M) { nstest.Main(m) }

// sample is how much of what can be done without end a run does: what the environment
// says, as it does in CI and for make soak, or a little.
func sample(env string, little int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return little
}

// program builds the program under test, with the race detector, once.
var program = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs("../../.cache/bin/nri-netdev-race")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-race", "-o", path, ".")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

func binary(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// fixture is a node with devices, a containerd and the plugin.
type fixture struct {
	*node.Node
	host   *nstest.NS // the node's network namespace
	plugin *pluginProcess
	config string
}

// nodeConfig allows eth1 to eth16 to the pods of two namespaces.
const nodeConfig = `apiVersion: netdev.noderesource.dev/v1alpha1
kind: NodeConfig
allow:
- devices: ["eth1", "eth2", "eth3", "eth4", "eth5", "eth6", "eth7", "eth8", "eth9", "eth10", "eth11", "eth12", "eth13", "eth14", "eth15", "eth16"]
  namespaces: ["default", "telco-*"]
  settings: [addresses, address, mtu, mac]
- devices: ["eth0"]
  namespaces: ["default"]
protect: ["mgmt*"]
`

// start makes a node with the plugin running, and ends it with the test.
func start(t *testing.T) *fixture {
	t.Helper()
	f := startNode(t, node.Options{})
	f.plugin = f.startPlugin(t)
	return f
}

// runtimeEnv names the runtime to test with, where a test does not name its own.
const runtimeEnv = "NRI_NETDEV_RUNTIME"

func startNode(t *testing.T, opts node.Options) *fixture {
	t.Helper()
	if opts.Runtime == "" {
		opts.Runtime = os.Getenv(runtimeEnv)
	}
	n, err := node.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("containerd:\n%s", n.Log())
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{Node: n, host: nstest.At(n.Netns()), config: "/run/nri-netdev.yaml"}
	f.writeConfig(t, nodeConfig)
	return f
}

func (f *fixture) writeConfig(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(f.Path(f.config), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// devices makes host devices eth1 to ethN, whose other ends are up and in the
// network that the node is attached to.
func (f *fixture) devices(t *testing.T, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		f.device(t, fmt.Sprintf("eth%d", i))
		f.host.IP(t, fmt.Sprintf("addr add 10.1.%d.1/24 dev eth%d", i, i))
		f.host.IP(t, fmt.Sprintf("addr add 2001:db8:%d::1/64 dev eth%d", i, i))
	}
	f.waitDAD(t)
}

func (f *fixture) device(t *testing.T, name string) {
	t.Helper()
	f.host.IP(t, "link", "add", name, "type", "veth", "peer", "name", name+"p", "netns", f.Path("/run/network"))
	nstest.At(f.Path("/run/network")).IP(t, "link set "+name+"p up")
	f.host.IP(t, "link set "+name+" up")
}

func (f *fixture) waitDAD(t *testing.T) {
	t.Helper()
	f.eventually(t, "end of duplicate address detection", func() bool {
		return !strings.Contains(f.host.IP(t, "-6 addr show tentative"), "inet6")
	})
}

// eventually waits for what happens behind the runtime's back. How long that takes is
// the machine's business: the end is for what never happens.
func (f *fixture) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("no %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pluginProcess is a running plugin and what it logs.
type pluginProcess struct {
	*node.Process
	logs *logBuffer
}

func (f *fixture) startPlugin(t *testing.T, args ...string) *pluginProcess {
	t.Helper()
	before := f.synchronizations()
	p := &pluginProcess{logs: &logBuffer{}}
	cmd := exec.Command(binary(t), append([]string{"run", "--config", f.config, "--log-level", "debug"}, args...)...)
	// By itself the race detector keeps an ending process for a second more.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=20")
	cmd.Stdout, cmd.Stderr = p.logs, p.logs
	var err error
	if p.Process, err = f.Run(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.stop(t)
		if logs := p.logs.String(); t.Failed() || strings.Contains(logs, "DATA RACE") {
			t.Errorf("plugin:\n%s", logs)
		}
	})
	p.waitFor(t, f, "msg=registered")
	f.eventually(t, "synchronization", func() bool { return f.synchronizations() > before })
	return p
}

// synchronizations is how often a plugin has been let in: from then on it gets
// the runtime's events, and not from its registration on.
func (f *fixture) synchronizations() int {
	return strings.Count(f.Log(), "connected and synchronized")
}

// waitFor waits until the plugin has logged something.
func (p *pluginProcess) waitFor(t *testing.T, f *fixture, text string) {
	t.Helper()
	f.eventually(t, "log line with "+text, func() bool { return strings.Contains(p.logs.String(), text) })
}

// stop ends the plugin as systemd or the kubelet does.
func (p *pluginProcess) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.Done():
		return
	default:
	}
	// A test that has failed may have left it stopped.
	if err := errors.Join(p.Signal(syscall.SIGCONT), p.Signal(syscall.SIGTERM)); err != nil {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("plugin: %v", err)
	}
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func pod(name, devices string) node.Pod {
	return node.Pod{Name: name, Annotations: map[string]string{annotation: devices}}
}

// run runs a pod that has to start.
func (f *fixture) run(t *testing.T, p node.Pod) (*node.Sandbox, *nstest.NS) {
	t.Helper()
	s, err := f.RunPod(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Netns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, nstest.At(f.Path(path))
}

// refused runs a pod that must not start, for a reason.
func (f *fixture) refused(t *testing.T, p node.Pod, want string) {
	t.Helper()
	s, err := f.RunPod(t.Context(), p)
	if err == nil {
		t.Errorf("pod %s started", p.Name)
		f.end(t, s)
		return
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("pod %s: error is\n%v\nwant\n%s", p.Name, err, want)
	}
}

func (f *fixture) end(t *testing.T, s *node.Sandbox) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context()); err != nil {
		t.Error(err)
	}
}

// cniDevices are what the CNI plugins make on the host for each pod.
var cniDevices = regexp.MustCompile(`(?m)^\d+: (veth|cni0).*\n(^ .*\n)*`)

// world is the host's devices, less what belongs to CNI.
func (f *fixture) world(t *testing.T) string {
	t.Helper()
	f.waitDAD(t)
	return cniDevices.ReplaceAllString(f.host.World(t), "")
}

// asBefore checks that the host is as before and the plugin keeps nothing.
func (f *fixture) asBefore(t *testing.T, before string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(before, "\n"), strings.Split(f.world(t), "\n")); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
	if left := f.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
}

// homeWithin waits until the host is as before, and the plugin keeps nothing. On a busy
// machine the limit is longer: it is over after as many looks as it has room for on an
// idle one, since looks have to wait for a CPU as the plugin has.
func (f *fixture) homeWithin(t *testing.T, limit time.Duration, before string) {
	t.Helper()
	const pause = 50 * time.Millisecond
	began := time.Now()
	for looks := limit / pause; len(f.records(t)) > 0 || f.world(t) != before; looks-- {
		if looks <= 0 && time.Since(began) > limit {
			f.asBefore(t, before)
			t.Fatalf("the devices are not home after %v", time.Since(began))
		}
		time.Sleep(pause)
	}
	t.Logf("home after %v", time.Since(began).Round(time.Millisecond))
	if pins, _ := filepath.Glob(f.Path("/run/nri-netdev/netns/*")); len(pins) > 0 {
		t.Errorf("pins are left: %q", pins)
	}
	if mounts, err := os.ReadFile(f.Path("/proc/1/mountinfo")); err != nil || strings.Contains(string(mounts), "/nri-netdev/netns/") {
		t.Errorf("mounts are left: %v\n%s", err, mounts)
	}
}

func (f *fixture) records(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(f.Path("/run/nri-netdev/sandboxes/*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}
