package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKubernetes installs what is shipped, and goes through what happens to pods and
// to the plugin. The parts build on one another.
func TestKubernetes(t *testing.T) {
	f := start(t)
	for _, part := range []struct {
		name string
		run  func(*fixture, *testing.T)
	}{
		{"install", (*fixture).installs},
		{"refused, until the config allows it", (*fixture).refuses},
		{"commands", (*fixture).looks},
		{"ends of a pod", (*fixture).endsPods},
		{"pause dies", (*fixture).pauseDies},
		{"annotated while it runs", (*fixture).annotatesLater},
		{"Deployment", (*fixture).rollsDeployment},
		{"StatefulSet", (*fixture).restartsStatefulSet},
		{"Job", (*fixture).runsJob},
		{"monitoring", (*fixture).monitors},
		{"required plugin", (*fixture).requires},
		{"DaemonSet rolls over", (*fixture).rollsPlugin},
		{"plugin killed", (*fixture).killsPlugin},
		{"kubelet and containerd restart", (*fixture).restarts},
		{"remove", (*fixture).removes},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(f, t) }) {
			t.Fatal("the others build on it")
		}
	}
}

func (f *fixture) installs(t *testing.T) {
	f.install(t, "manifests")
	f.pluginReady(t)
	for _, overlay := range []string{"containerd-1.7", "crio"} {
		f.install(t, "manifests/overlays/"+overlay, "--dry-run=server")
	}
}

// requires has pods wait for the plugin: without, the runtime starts those that it
// is not there for, and they run without their devices (docs/levels.md).
func (f *fixture) requires(t *testing.T) {
	f.install(t, "manifests/overlays/required-plugin")
	f.allow(t)
	f.eventually(t, "annotation that requires the plugin", func() bool {
		f.apply(t, pod("asks", "eth1"))
		out := f.kubectl(t, "get", "pod", "asks", "-o", "yaml")
		f.kubectl(t, "delete", "pod", "asks")
		return strings.Contains(out, "required-plugins.noderesource.dev: '[\"nri-netdev\"]'")
	})
	f.isHome(t, "eth1")
}

// A refused pod shows the plugin's words in its events, and runs as soon as the node's
// owner allows it.
func (f *fixture) refuses(t *testing.T) {
	f.apply(t, pod("early", "eth1"))
	f.eventually(t, "event with the plugin's words", func() bool {
		return strings.Contains(f.kubectl(t, "get", "events"), `device "eth1" is not allowed in namespace "default"`)
	})
	f.isHome(t, "eth1")
	f.allow(t)
	f.runs(t, "early", "eth1")
	f.kubectl(t, "delete", "pod", "early")
	f.isHome(t, "eth1")
}

// What an operator sees, in the DaemonSet's pod.
func (f *fixture) looks(t *testing.T) {
	f.apply(t, pod("worker-0", "eth1"))
	f.runs(t, "worker-0", "eth1")
	doctor := f.program(t, "doctor")
	if strings.Contains(doctor, "fail ") || strings.Contains(doctor, "warn ") || !strings.Contains(doctor, "registered with containerd") {
		t.Errorf("doctor:\n%s", doctor)
	}
	if devices := f.program(t, "devices"); !strings.Contains(devices, "default/worker-0 as net1") ||
		!strings.Contains(devices, "allow[0] default") || !strings.Contains(devices, "carries the node's default route") {
		t.Errorf("devices:\n%s", devices)
	}
	if status := f.program(t, "status"); !strings.Contains(status, "worker-0") || !strings.Contains(status, "attached") {
		t.Errorf("status:\n%s", status)
	}
	f.kubectl(t, "delete", "pod", "worker-0")
	f.isHome(t, "eth1")
}

// program runs one of its commands where it runs.
func (f *fixture) program(t *testing.T, command ...string) string {
	t.Helper()
	out := f.kubectl(t, append([]string{"exec", "-n", "nri-netdev", f.pluginPod(t), "--", "/nri-netdev"}, command...)...)
	t.Logf("nri-netdev %s\n%s", strings.Join(command, " "), out)
	return out
}

func (f *fixture) endsPods(t *testing.T) {
	for name, end := range map[string]func(pod string){
		"deleted":       func(pod string) { f.kubectl(t, "delete", "pod", pod) },
		"force-deleted": func(pod string) { f.kubectl(t, "delete", "pod", pod, "--force", "--grace-period=0") },
		"evicted": func(pod string) {
			eviction := fmt.Sprintf(`{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": %q, "namespace": "default"}}`, pod)
			if _, err := f.Kubectl(eviction, "create", "--raw", "/api/v1/namespaces/default/pods/"+pod+"/eviction", "-f", "-"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f.apply(t, pod(name, "eth1"))
			f.runs(t, name, "eth1")
			end(name)
			f.isHome(t, "eth1")
		})
	}
}

// The kubelet makes a new sandbox of the same pod, which gets the devices of the old
// one.
func (f *fixture) pauseDies(t *testing.T) {
	f.apply(t, pod("headless", "eth1"))
	f.runs(t, "headless", "eth1")
	f.killPause(t, "headless")
	f.kubectl(t, "delete", "pod", "headless")
	f.isHome(t, "eth1")
}

// An annotation that a running pod is given means something to its next sandbox.
func (f *fixture) annotatesLater(t *testing.T) {
	f.apply(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: late}\nspec:"+podSpec)
	f.kubectl(t, "wait", "--for=condition=Ready", "pod/late", "--timeout=180s")
	f.kubectl(t, "annotate", "pod", "late", annotation+"=[{name: eth1, newName: net1}]")
	if inside := f.kubectl(t, "exec", "late", "--", "/pause", "net"); strings.Contains(inside, "net1") {
		t.Errorf("the pod has a device that it did not start with:\n%s", inside)
	}
	f.killPause(t, "late")
	f.holds(t, "late", "eth1")
	f.kubectl(t, "delete", "pod", "late")
	f.isHome(t, "eth1")
}

// killPause ends a pod's sandbox, and waits for the next one to have eth1.
func (f *fixture) killPause(t *testing.T, name string) {
	t.Helper()
	old := f.sandbox(t, name)
	pid, err := old.PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Output("kill", "-KILL", fmt.Sprint(pid)); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "new sandbox that is ready", func() bool {
		out, err := f.Kubectl("", "exec", name, "--", "/pause", "net")
		return err == nil && strings.Contains(out, "net1 mtu 9000") && f.sandbox(t, name).ID != old.ID
	})
}

func (f *fixture) rollsDeployment(t *testing.T) {
	f.apply(t, `apiVersion: apps/v1
kind: Deployment
metadata: {name: rolling}
spec:
  selector: {matchLabels: {app: test}}
  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
  template:`+indent(template("eth2"), 4))
	f.rolledOut(t, "deployment/rolling", "eth2")
	f.kubectl(t, "rollout", "restart", "deployment/rolling")
	f.rolledOut(t, "deployment/rolling", "eth2")
	f.kubectl(t, "delete", "deployment", "rolling")
	f.isHome(t, "eth2")
}

func (f *fixture) restartsStatefulSet(t *testing.T) {
	f.apply(t, `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sticky}
spec:
  serviceName: sticky
  selector: {matchLabels: {app: test}}
  template:`+indent(template("eth2"), 4))
	f.rolledOut(t, "statefulset/sticky", "eth2")
	f.kubectl(t, "delete", "pod", "sticky-0")
	f.rolledOut(t, "statefulset/sticky", "eth2")
	f.kubectl(t, "delete", "statefulset", "sticky")
	f.isHome(t, "eth2")
}

// rolledOut waits until the one pod of a workload is there, with the device.
func (f *fixture) rolledOut(t *testing.T, workload, dev string) {
	t.Helper()
	f.kubectl(t, "rollout", "status", workload, "--timeout=180s")
	name := f.kubectl(t, "get", "pods", "-l", "app=test", "--field-selector=status.phase=Running", "--sort-by=.metadata.creationTimestamp",
		"-o", "jsonpath={.items[-1:].metadata.name}")
	f.holds(t, name, dev)
}

// A job ends by itself, and its pod stays.
func (f *fixture) runsJob(t *testing.T) {
	spec := strings.Replace(template("eth2"), "imagePullPolicy: Never", "imagePullPolicy: Never, command: [/pause, net]", 1)
	f.apply(t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  backoffLimit: 0\n  template:"+indent(spec, 4)+
		"  restartPolicy: Never\n")
	f.kubectl(t, "wait", "--for=condition=Complete", "job/once", "--timeout=180s")
	if inside := f.kubectl(t, "logs", "job/once"); !strings.Contains(inside, "net1 mtu 9000") {
		t.Errorf("the job ran without its device:\n%s", inside)
	}
	f.isHome(t, "eth2")
	f.kubectl(t, "delete", "job", "once")
}

// While the plugin is replaced, running pods keep their devices, and one that starts
// has its own as soon as it runs.
func (f *fixture) rollsPlugin(t *testing.T) {
	f.apply(t, pod("stays", "eth1"))
	f.runs(t, "stays", "eth1")
	f.kubectl(t, "rollout", "restart", "-n", "nri-netdev", "daemonset/nri-netdev")
	f.apply(t, pod("starts", "eth3"))
	f.runs(t, "starts", "eth3")
	f.pluginReady(t)
	f.holds(t, "stays", "eth1")
	f.kubectl(t, "delete", "pod", "stays", "starts")
	f.isHome(t, "eth1")
	f.isHome(t, "eth3")
}

// The same, by a SIGKILL.
func (f *fixture) killsPlugin(t *testing.T) {
	f.apply(t, pod("stays", "eth1"))
	f.runs(t, "stays", "eth1")
	if _, err := f.Output("sh", "-c", "kill -KILL $(pgrep -x nri-netdev)"); err != nil {
		t.Fatal(err)
	}
	f.apply(t, pod("starts", "eth3"))
	f.kubectl(t, "delete", "pod", "stays", "--force", "--grace-period=0")
	f.runs(t, "starts", "eth3")
	f.isHome(t, "eth1")
	f.pluginReady(t)
	f.kubectl(t, "delete", "pod", "starts")
	f.isHome(t, "eth3")
}

func (f *fixture) restarts(t *testing.T) {
	f.apply(t, pod("stays", "eth1"))
	f.runs(t, "stays", "eth1")
	if err := f.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	if err := f.RestartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.StartKubelet(); err != nil {
		t.Fatal(err)
	}
	f.pluginReady(t)
	f.apply(t, pod("starts", "eth3"))
	f.runs(t, "starts", "eth3")
	f.holds(t, "stays", "eth1")
	f.kubectl(t, "delete", "pod", "stays", "starts")
	f.isHome(t, "eth1")
	f.isHome(t, "eth3")
}

// What the README says of removal.
func (f *fixture) removes(t *testing.T) {
	f.apply(t, pod("last", "eth1"))
	f.runs(t, "last", "eth1")
	f.program(t, "return", "--all")
	f.isHome(t, "eth1")
	manifests, err := filepath.Abs(filepath.Join(repository, "manifests/overlays/required-plugin"))
	if err != nil {
		t.Fatal(err)
	}
	f.kubectl(t, "delete", "-k", manifests)
	f.kubectl(t, "delete", "pod", "last")
	left, err := f.Output("find", "/run/nri-netdev/sandboxes", "/run/nri-netdev/netns", "-mindepth", "1")
	if err != nil || left != "" {
		t.Errorf("left behind: %s %v", left, err)
	}
	mounts, err := os.ReadFile(f.Path("/proc/1/mounts"))
	if err != nil || strings.Contains(string(mounts), "nri-netdev/netns") {
		t.Errorf("mounts: %v\n%s", err, mounts)
	}
}
