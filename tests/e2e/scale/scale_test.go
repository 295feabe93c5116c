package scale_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

const devicesPerPod = 4

// BenchmarkScale has a node with that many pods, four devices each. Each round attaches
// and returns all of them, so one round is enough: -benchtime 1x.
func BenchmarkScale(b *testing.B) {
	for _, pods := range []int{0, 50, 250} {
		b.Run(fmt.Sprintf("pods=%d", pods), func(b *testing.B) {
			for b.Loop() {
				n := newNode(b, pods)
				n.start(b)
				n.attach(b)
				n.measure(b)
				n.recover(b)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// node is a host with devices, pods, a runtime and the program.
type node struct {
	host    *nstest.NS
	pods    []*api.PodSandbox
	netns   []*nstest.NS
	folder  string
	binary  string
	runtime *adaptation.Adaptation
	process *exec.Cmd
}

func newNode(b *testing.B, pods int) *node {
	b.Helper()
	n := &node{host: nstest.New(b), folder: b.TempDir()}
	n.binary = filepath.Join(n.folder, "nri-netdev")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", n.binary, ".")
	build.Dir, build.Env = "../../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v: %s", err, out)
	}
	n.makeDevices(b, pods*devicesPerPod)
	for i := range pods {
		ns := nstest.New(b)
		n.netns = append(n.netns, ns)
		n.pods = append(n.pods, sandbox(i, ns.Path()))
	}
	n.startRuntime(b)
	return n
}

// makeDevices makes pairs of which both ends are devices, and allows them by name: an end
// whose other end is in a pod is given by its name only.
func (n *node) makeDevices(b *testing.B, count int) {
	b.Helper()
	var script, names strings.Builder
	for i := 0; i < count; i += 2 {
		fmt.Fprintf(&script, "link add d%d type veth peer name d%d\n", i, i+1)
	}
	for i := range count {
		fmt.Fprintf(&names, "d%d, ", i)
		fmt.Fprintf(&script, "addr add 10.%d.%d.1/24 dev d%d\nlink set d%d up\n", i/250, i%250, i, i)
	}
	n.host.Shell(b, "sysctl -qw net.ipv6.conf.default.accept_dad=0; ip -batch - <<EOF\n"+script.String()+"EOF")
	config := "apiVersion: netdev.noderesource.dev/v1alpha1\nkind: NodeConfig\n"
	if count > 0 {
		config += fmt.Sprintf("allow: [{devices: [%s], namespaces: [default]}]\n", names.String())
	}
	if err := os.WriteFile(filepath.Join(n.folder, "config.yaml"), []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
}

func sandbox(i int, netns string) *api.PodSandbox {
	var asks strings.Builder
	for d := range devicesPerPod {
		fmt.Fprintf(&asks, "- {name: d%d, newName: net%d}\n", i*devicesPerPod+d, d)
	}
	return &api.PodSandbox{
		Id: fmt.Sprintf("%064x", i+1), Name: fmt.Sprintf("pod-%d", i), Namespace: "default", Uid: fmt.Sprintf("uid-%d", i),
		Annotations: map[string]string{"netdevices.noderesource.dev/pod": asks.String()},
		Linux:       &api.LinuxPodSandbox{Namespaces: []*api.LinuxNamespace{{Type: "network", Path: netns}}},
	}
}

// startRuntime is a runtime that knows all of the pods, and has time.
func (n *node) startRuntime(b *testing.B) {
	b.Helper()
	sync := func(ctx context.Context, tell adaptation.SyncCB) error {
		_, err := tell(ctx, n.pods, nil)
		return err
	}
	update := func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil }
	adaptation.SetPluginRequestTimeout(20 * time.Second)
	a, err := adaptation.New("scale", "v1", sync, update,
		adaptation.WithSocketPath(filepath.Join(n.folder, "nri.sock")),
		adaptation.WithPluginPath(filepath.Join(n.folder, "plugins")), adaptation.WithPluginConfigPath(filepath.Join(n.folder, "conf.d")))
	if err == nil {
		err = a.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	n.runtime = a
	b.Cleanup(a.Stop)
}

// start starts the program, and tells how long it takes until it is registered.
func (n *node) start(b *testing.B) time.Duration {
	b.Helper()
	n.process = exec.Command(n.binary, "run", "--config", n.path("config.yaml"), "--state-dir", n.path("state"),
		"--nri-socket", n.path("nri.sock"), "--listen", "", "--host-netns", n.host.Path(), "--log-level", "warn")
	n.process.Stdout, n.process.Stderr = os.Stderr, os.Stderr
	began := time.Now()
	if err := n.process.Start(); err != nil {
		b.Fatal(err)
	}
	process := n.process
	b.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait() // ended before, perhaps
	})
	// It is there when it refuses a pod that asks for nonsense.
	nonsense := &api.PodSandbox{Id: "nonsense", Annotations: map[string]string{"netdevices.noderesource.dev/pod": "?"}}
	for n.runtime.RunPodSandbox(b.Context(), &api.RunPodSandboxRequest{Pod: nonsense}) == nil {
		if time.Since(began) > time.Minute {
			b.Fatal("the program does not register")
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func (n *node) path(name string) string { return filepath.Join(n.folder, name) }

func (n *node) attach(b *testing.B) {
	b.Helper()
	for _, pod := range n.pods {
		if err := n.runtime.RunPodSandbox(b.Context(), &api.RunPodSandboxRequest{Pod: pod}); err != nil {
			b.Fatal(err)
		}
	}
}

// measure looks at the program while nothing happens.
func (n *node) measure(b *testing.B) {
	b.Helper()
	const sweeps = 10
	before := n.cpu(b)
	time.Sleep(sweeps * time.Second) // one a second
	b.ReportMetric(float64(n.cpu(b)-before)/float64(time.Millisecond)/sweeps, "cpu-ms/sweep")
	b.ReportMetric(n.resident(b), "MiB-resident")
	began := time.Now()
	out, err := exec.Command(n.binary, "status", "--state-dir", n.path("state")).CombinedOutput()
	if err != nil || strings.Count(string(out), "attached") != len(n.pods)*devicesPerPod {
		b.Errorf("status: %v\n%s", err, out)
	}
	b.ReportMetric(time.Since(began).Seconds()*1e3, "ms/status")
}

// cpu is the time that the process has used, user and system.
func (n *node) cpu(b *testing.B) time.Duration {
	b.Helper()
	total := time.Duration(0)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", n.process.Process.Pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("the program has no threads: %v", err)
	}
	for _, task := range tasks {
		if data, err := os.ReadFile(task); err == nil {
			ran, _, _ := strings.Cut(string(data), " ")
			if ns, err := strconv.ParseInt(ran, 10, 64); err == nil {
				total += time.Duration(ns)
			}
		}
	}
	return total
}

// resident is VmRSS, in MiB.
func (n *node) resident(b *testing.B) float64 {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(data), "VmRSS:")
	kib, err := strconv.ParseFloat(strings.Fields(rss)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// recover kills the program, starts it with all pods alive, and then with all of them
// gone, and waits until the host has its devices.
func (n *node) recover(b *testing.B) {
	b.Helper()
	n.kill(b)
	b.ReportMetric(n.start(b).Seconds()*1e3, "ms/start")
	n.kill(b)
	n.pods = nil // the runtime knows of none any more
	devices := len(n.netns) * devicesPerPod
	for _, ns := range n.netns {
		ns.Remove(b) // with the state folder's pin alone the devices live on
	}
	began := time.Now()
	n.start(b)
	for strings.Count(n.host.IP(b, "-o link show up type veth"), "\n") < devices || n.records(b) > 0 {
		if time.Since(began) > 5*time.Minute {
			b.Fatal("the devices do not come home")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if devices > 0 {
		b.ReportMetric(time.Since(began).Seconds()*1e3/float64(devices), "ms/recovery-of-a-device")
	}
}

func (n *node) records(b *testing.B) int {
	b.Helper()
	list, err := filepath.Glob(n.path("state/sandboxes/*.json"))
	if err != nil {
		b.Fatal(err)
	}
	return len(list)
}

func (n *node) kill(b *testing.B) {
	b.Helper()
	if err := n.process.Process.Kill(); err != nil {
		b.Fatal(err)
	}
	_ = n.process.Wait()
}
