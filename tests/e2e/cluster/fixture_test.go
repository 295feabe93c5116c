package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/tests/e2e/cluster"
	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// repository is the root of it.
const repository = "../../.."

// devices are the host's that pods may have.
var devices = []string{"eth1", "eth2", "eth3"}

// nodeConfig allows them. A veth whose peer is elsewhere is allowed by its own name only.
const nodeConfig = `apiVersion: netdev.noderesource.dev/v1alpha1
kind: NodeConfig
allow:
- devices: ["eth1", "eth2", "eth3"]
  namespaces: ["default"]
`

// fixture is a cluster with devices.
type fixture struct {
	*cluster.Cluster
	host   *nstest.NS
	before map[string]string // what the devices were
}

// start makes one whose node has the plugin's image.
func start(t *testing.T) *fixture {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("make", "-s", "-C", root, "image").CombinedOutput(); err != nil {
		t.Fatalf("make image: %v: %s", err, out)
	}
	f := startPlain(t)
	if err := f.Import(filepath.Join(root, "nri-netdev.tar")); err != nil {
		t.Fatal(err)
	}
	f.host.Shell(t, "sysctl -qw net.ipv4.ip_forward=1") // as the CNI's bridge does for the first pod
	for i, dev := range devices {
		f.host.IP(t, "link add "+dev+" type veth peer name "+dev+"p netns "+f.Path("/run/network"))
		nstest.At(f.Path("/run/network")).IP(t, "link set "+dev+"p up")
		f.host.IP(t, "link set "+dev+" up mtu 9000")
		f.host.IP(t, fmt.Sprintf("addr add 10.1.%d.1/24 dev %s", i, dev))
	}
	for _, dev := range devices {
		f.before[dev] = f.host.Settled(t, dev)
	}
	return f
}

// startPlain makes one without devices.
func startPlain(t *testing.T) *fixture {
	t.Helper()
	c, err := cluster.Start(t.Context(), node.Options{Validator: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			events, _ := c.Kubectl("", "get", "events,pods", "-A", "-o", "wide")
			t.Logf("%s\n== containerd\n%s\n%s", c.Logs(), c.Log(), events)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{Cluster: c, host: nstest.At(c.Netns()), before: map[string]string{}}
}

// install applies a folder of manifests.
func (f *fixture) install(t *testing.T, folder string, flags ...string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(repository, folder))
	if err != nil {
		t.Fatal(err)
	}
	f.kubectl(t, append([]string{"apply", "-k", path}, flags...)...)
}

// allow gives the plugin the node config of the tests.
func (f *fixture) allow(t *testing.T) {
	t.Helper()
	f.apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nri-netdev, namespace: nri-netdev}\ndata:\n  config.yaml: |"+
		indent("\n"+nodeConfig, 4))
}

// kubectl fails the test if it fails.
func (f *fixture) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := f.Kubectl("", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply makes what a manifest says.
func (f *fixture) apply(t *testing.T, manifest string) {
	t.Helper()
	if out, err := f.Kubectl(manifest, "apply", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
}

// podSpec is indented as in a pod.
const podSpec = `
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: "localhost/pause:e2e", imagePullPolicy: Never}
`

// template is what a pod and a pod's template have in common.
func template(dev string) string {
	return `
metadata:
  labels: {app: test}
  annotations:
    netdevices.noderesource.dev/pod: '[{name: ` + dev + `, newName: net1}]'
spec:` + podSpec
}

// pod is a manifest of one that asks for a device.
func pod(name, dev string) string {
	return "apiVersion: v1\nkind: Pod" + strings.Replace(template(dev), "metadata:", "metadata:\n  name: "+name, 1)
}

// indent moves a manifest into another one.
func indent(text string, by int) string {
	return strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", by))
}

// runs waits for a pod's being ready, and for its device in it.
func (f *fixture) runs(t *testing.T, name, dev string) {
	t.Helper()
	f.kubectl(t, "wait", "--for=condition=Ready", "pod/"+name, "--timeout=180s")
	f.holds(t, name, dev)
}

// holds expects the device in the pod, and not on the host.
func (f *fixture) holds(t *testing.T, name, dev string) {
	t.Helper()
	if inside := f.kubectl(t, "exec", name, "--", "/pause", "net"); !strings.Contains(inside, "net1 mtu 9000") {
		t.Errorf("pod %s runs without its device:\n%s", name, inside)
	}
	if _, err := os.Stat(f.Path("/sys/class/net/" + dev)); err == nil {
		t.Errorf("%s is on the host, too", dev)
	}
}

// isHome expects the device to be what it was.
func (f *fixture) isHome(t *testing.T, dev string) {
	t.Helper()
	f.eventually(t, dev+" on the host", func() bool {
		_, err := os.Stat(f.Path("/sys/class/net/" + dev))
		return err == nil
	})
	f.host.SameDump(t, dev, f.before[dev])
}

// eventually waits for what happens by itself.
func (f *fixture) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	const patience, pause = 3 * time.Minute, 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("no %s", what)
		case <-time.After(pause):
		}
	}
}

// pluginPod is the name of the DaemonSet's pod.
func (f *fixture) pluginPod(t *testing.T) string {
	t.Helper()
	return f.kubectl(t, "get", "pods", "-n", "nri-netdev", "-o", "jsonpath={.items[0].metadata.name}")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pluginReady waits for the DaemonSet.
func (f *fixture) pluginReady(t *testing.T) {
	t.Helper()
	f.kubectl(t, "rollout", "status", "-n", "nri-netdev", "daemonset/nri-netdev", "--timeout=180s")
}

// sandbox is the newest one of a pod.
func (f *fixture) sandbox(t *testing.T, name string) *node.Sandbox {
	t.Helper()
	s, err := f.FindPod(t.Context(), "default", name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
