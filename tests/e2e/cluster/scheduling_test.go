package cluster_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/e2e/cluster"
	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// poolConfig offers eth1 and eth2 as fast devices, eth3 as a slow one.
const poolConfig = `apiVersion: netdev.noderesource.dev/v1alpha1
kind: NodeConfig
allow:
- devices: ["eth1", "eth2", "eth3"]
  namespaces: ["default"]
pools:
- name: fast
  devices: ["eth1", "eth2"]
- name: slow
  devices: ["eth3"]
`

// site is a node with devices.
type site struct {
	*node.Node
	host   *nstest.NS
	before map[string]string // what the devices were
}

// scheduled is a cluster of two nodes with plugin and driver: the first has two fast devices, the
// second has one, and each a slow one.
type scheduled struct {
	*fixture
	second *cluster.Second
	sites  map[string]*site
}

func startScheduled(t *testing.T) *scheduled {
	t.Helper()
	s := &scheduled{fixture: startPlain(t), sites: map[string]*site{}}
	second, err := s.Join(t.Context(), node.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("== containerd of the second node\n%s", second.Log())
			for _, name := range []string{"nri-netdev", "nri-netdev-dra"} {
				logs, _ := s.Kubectl("", "logs", "-n", "nri-netdev", "-l", "app.kubernetes.io/name="+name, "--tail=60", "--prefix")
				t.Log(logs)
			}
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
	s.second = second
	s.add(t, "node", s.Node, "eth1", "eth2", "eth3")
	s.add(t, "node2", second.Node, "eth1", "eth3")
	return s
}

// add makes a node's devices, and gives it the images.
func (s *scheduled) add(t *testing.T, name string, n *node.Node, devices ...string) {
	t.Helper()
	if err := cluster.ServeAPI(n); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"image", "image-dra"} {
		if out, err := exec.Command("make", "-s", "-C", root, image).CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v: %s", image, err, out)
		}
	}
	for _, archive := range []string{"nri-netdev.tar", "nri-netdev-dra.tar"} {
		if err := n.Import(filepath.Join(root, archive)); err != nil {
			t.Fatal(err)
		}
	}
	at := &site{Node: n, host: nstest.At(n.Netns()), before: map[string]string{}}
	s.sites[name] = at
	for i, dev := range devices {
		at.host.IP(t, "link add "+dev+" type veth peer name "+dev+"p netns "+n.Path("/run/network"))
		nstest.At(n.Path("/run/network")).IP(t, "link set "+dev+"p up")
		at.host.IP(t, "link set "+dev+" up mtu 9000")
		at.host.IP(t, fmt.Sprintf("addr add 10.1.%d.1/24 dev %s", i, dev))
	}
	for _, dev := range devices {
		at.before[dev] = at.host.Settled(t, dev)
	}
}

// TestScheduling has the scheduler find nodes with free devices. The parts build on one another.
func TestScheduling(t *testing.T) {
	s := startScheduled(t)
	for _, part := range []struct {
		name string
		run  func(*scheduled, *testing.T)
	}{
		{"install", (*scheduled).installs},
		{"Deployment on two nodes", (*scheduled).rollsDeployment},
		{"first available", (*scheduled).takesSlow},
		{"shared claim", (*scheduled).shares},
		{"extended resource", (*scheduled).extends},
		{"bad parameters", (*scheduled).refuses},
		{"driver killed", (*scheduled).killsDriver},
		{"plugin killed", (*scheduled).killsPlugin},
		{"kubelet restarts", (*scheduled).restartsKubelet},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(s, t) }) {
			t.Fatal("the others build on it")
		}
	}
}

func (s *scheduled) installs(t *testing.T) {
	s.install(t, "manifests/overlays/dra")
	s.apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: nri-netdev, namespace: nri-netdev}\ndata:\n  config.yaml: |"+indent("\n"+poolConfig, 4))
	s.pluginReady(t)
	s.kubectl(t, "rollout", "status", "-n", "nri-netdev", "daemonset/nri-netdev-dra", "--timeout=180s")
	s.example(t, "classes.yaml")
	s.isPublished(t, "node2/net-eth1 node2/net-eth3 node/net-eth1 node/net-eth2 node/net-eth3")
	for name, at := range s.sites {
		out, err := at.Output("sh", "-c", "grep VmRSS /proc/$(pgrep -x nri-netdev-dra)/status; grep CapEff /proc/$(pgrep -x nri-netdev-dra)/status")
		t.Logf("driver on %s: %s %v", name, strings.Join(strings.Fields(out), " "), err)
		if !strings.Contains(out, "CapEff:\t0000000000000000") {
			t.Errorf("the driver has capabilities: %s", out)
		}
	}
}

// isPublished waits for devices in the slices, those with a taint with its name.
func (s *scheduled) isPublished(t *testing.T, want string) {
	t.Helper()
	all := strings.Fields(want)
	slices.Sort(all)
	var got []string
	defer func() {
		if t.Failed() {
			t.Logf("published: %q, want %q", got, all)
		}
	}()
	s.eventually(t, "devices in slices", func() bool {
		out := s.kubectl(t, "get", "resourceslices", "-o",
			`jsonpath={range .items[*]}{range .spec.devices[*]}{.attributes.pool.string}{"\t"}{.name}{.taints[*].key}{"\n"}{end}{.spec.nodeName}{"\n"}{end}`)
		got = published(out)
		return slices.Equal(got, all)
	})
}

// published reads what jsonpath prints: the devices of a node, and then its name.
func published(out string) (all []string) {
	var devices []string
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if _, device, ok := strings.Cut(line, "\t"); ok {
			devices = append(devices, strings.Replace(device, "netdev.noderesource.dev/", ":", 1))
			continue
		}
		for _, d := range devices {
			all = append(all, line+"/"+d)
		}
		devices = nil
	}
	slices.Sort(all)
	return all
}

// example applies an example for the namespace of the tests.
func (s *scheduled) example(t *testing.T, file string, changes ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "manifests/examples/dra", file))
	if err != nil {
		t.Fatal(err)
	}
	changes = append(changes, "namespace: lab", "namespace: default", "image: localhost/pause:e2e", "image: localhost/pause:e2e\n    imagePullPolicy: Never")
	if file == "deployment.yaml" {
		changes[len(changes)-1] = "image: localhost/pause:e2e\n        imagePullPolicy: Never"
	}
	s.apply(t, strings.NewReplacer(changes...).Replace(string(text)))
}

// has expects a pod to have a device under a name, and its claim to say so.
func (s *scheduled) has(t *testing.T, pod, device string) {
	t.Helper()
	s.kubectl(t, "wait", "--for=condition=Ready", "pod/"+pod, "--timeout=180s")
	if inside := s.kubectl(t, "exec", pod, "--", "/pause", "net"); !strings.Contains(inside, "\n"+device+" mtu") {
		t.Errorf("pod %s runs without its device:\n%s", pod, inside)
	}
}

// allHome expects every device of every node to be what it was, and nothing left of claims.
func (s *scheduled) allHome(t *testing.T) {
	t.Helper()
	s.eventually(t, "cluster without claims", func() bool {
		return strings.TrimSpace(s.kubectl(t, "get", "resourceclaims", "-o", "name")) == ""
	})
	for name, at := range s.sites {
		for dev, was := range at.before {
			s.eventually(t, dev+" of "+name+" on the host", func() bool {
				_, err := os.Stat(at.Path("/sys/class/net/" + dev))
				return err == nil
			})
			at.host.SameDump(t, dev, was)
		}
		left, err := at.Output("sh", "-c", "find /run/cdi /run/nri-netdev/claims /run/nri-netdev/sandboxes -type f 2>/dev/null; true")
		if err != nil || left != "" {
			t.Errorf("left on %s: %s %v", name, left, err)
		}
	}
	s.isPublished(t, "node2/net-eth1 node2/net-eth3 node/net-eth1 node/net-eth2 node/net-eth3")
}

func (s *scheduled) rollsDeployment(t *testing.T) {
	s.example(t, "deployment.yaml")
	s.kubectl(t, "rollout", "status", "deployment/worker", "--timeout=180s")
	t.Log(s.kubectl(t, "get", "pods,resourceclaims", "-o", "wide"))
	for pod := range strings.FieldsSeq(s.kubectl(t, "get", "pods", "-l", "app=worker", "-o", "jsonpath={.items[*].metadata.name}")) {
		s.has(t, pod, "net1")
	}
	s.eventually(t, "claims that say that their devices are ready", func() bool {
		out := s.kubectl(t, "get", "resourceclaims", "-o", `jsonpath={range .items[*]}{.status.devices[0].conditions[?(@.type=="Ready")].status}{.status.devices[0].networkData.interfaceName} {end}`)
		return strings.TrimSpace(out) == "Truenet1 Truenet1 Truenet1"
	})
	// A fourth waits for a device, and has the first that is free.
	s.kubectl(t, "scale", "deployment/worker", "--replicas=4")
	s.eventually(t, "pod that waits", func() bool {
		return strings.Contains(s.kubectl(t, "get", "events"), "cannot allocate all claims")
	})
	s.kubectl(t, "scale", "deployment/worker", "--replicas=3")
	s.kubectl(t, "rollout", "restart", "deployment/worker")
	s.kubectl(t, "rollout", "status", "deployment/worker", "--timeout=180s")
	s.kubectl(t, "delete", "deployment/worker")
	s.kubectl(t, "delete", "resourceclaimtemplate", "worker")
	s.allHome(t)
}

// When the fast devices are gone, the next pod has a slow one.
func (s *scheduled) takesSlow(t *testing.T) {
	s.example(t, "first-available.yaml")
	s.has(t, "first-available", "net1")
	for i := range 3 {
		s.example(t, "first-available.yaml", "name: first-available", fmt.Sprintf("name: first-available-%d", i))
		s.has(t, fmt.Sprintf("first-available-%d", i), "net1")
	}
	if out := s.kubectl(t, "get", "resourceclaims", "-o", "jsonpath={.items[*].status.allocation.devices.results[*].request}"); strings.Count(out, "nic/fast") != 3 || strings.Count(out, "nic/slow") != 1 {
		t.Errorf("allocated: %s", out)
	}
	s.kubectl(t, "delete", "pods", "--all")
	s.allHome(t)
}

// sharedClaim is one for pods that name it.
const sharedClaim = `apiVersion: resource.k8s.io/v1
kind: ResourceClaim
metadata: {name: NAME}
spec:
  devices:
    requests: [{name: nic, exactly: {deviceClassName: fast}}]
    config:
    - opaque:
        driver: netdev.noderesource.dev
        parameters: {apiVersion: netdev.noderesource.dev/v1alpha1, kind: NetDevice, PARAMETERS}
`

// claimPod is a pod that names a claim.
func claimPod(name, claim string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + "}\nspec:\n  resourceClaims: [{name: nic, resourceClaimName: " + claim + "}]" +
		strings.Replace(podSpec, "imagePullPolicy: Never", "imagePullPolicy: Never, resources: {claims: [{name: nic}]}", 1)
}

func (s *scheduled) claim(t *testing.T, name, parameters string) {
	t.Helper()
	s.apply(t, strings.NewReplacer("NAME", name, "PARAMETERS", parameters).Replace(sharedClaim))
}

// The second pod of a claim waits for the end of the first, and is told why.
func (s *scheduled) shares(t *testing.T) {
	s.claim(t, "shared", "newName: net1")
	s.apply(t, claimPod("one", "shared"))
	s.has(t, "one", "net1")
	s.apply(t, claimPod("two", "shared"))
	s.eventually(t, "event with the policy's words", func() bool {
		return strings.Contains(s.kubectl(t, "get", "events"), "has a network device, which is in one pod only")
	})
	s.kubectl(t, "delete", "pod", "one")
	s.has(t, "two", "net1")
	s.kubectl(t, "delete", "pod", "two")
	s.kubectl(t, "delete", "resourceclaim", "shared")
	s.allHome(t)
}

// The annotation that the pod has today is served from what the scheduler has allocated.
func (s *scheduled) extends(t *testing.T) {
	s.example(t, "extended-resource.yaml")
	s.has(t, "extended-resource", "net1")
	s.kubectl(t, "delete", "pod", "extended-resource")
	s.allHome(t)
}

// What the plugin refuses, the pod's events show, and nothing is reserved for ever.
func (s *scheduled) refuses(t *testing.T) {
	s.claim(t, "bad", "newNaem: net1")
	s.apply(t, claimPod("bad", "bad"))
	s.eventually(t, "event with the plugin's words", func() bool {
		events := s.kubectl(t, "get", "events")
		return strings.Contains(events, `claim "bad"`) && strings.Contains(events, "newNaem")
	})
	s.kubectl(t, "delete", "pod", "bad")
	s.kubectl(t, "delete", "resourceclaim", "bad")
	s.allHome(t)
}

// A driver that is killed has forgotten nothing.
func (s *scheduled) killsDriver(t *testing.T) {
	s.claim(t, "stays", "newName: net1")
	s.apply(t, claimPod("stays", "stays"))
	s.has(t, "stays", "net1")
	s.killAll(t, "nri-netdev-dra")
	s.claim(t, "starts", "newName: net1")
	s.apply(t, claimPod("starts", "starts"))
	s.kubectl(t, "delete", "pod", "stays")
	s.has(t, "starts", "net1")
	s.kubectl(t, "delete", "pod", "starts")
	s.kubectl(t, "delete", "resourceclaim", "--all")
	s.allHome(t)
}

// The same of the plugin. No pod runs without its device.
func (s *scheduled) killsPlugin(t *testing.T) {
	s.claim(t, "stays", "newName: net1")
	s.apply(t, claimPod("stays", "stays"))
	s.has(t, "stays", "net1")
	s.killAll(t, "nri-netdev")
	s.claim(t, "starts", "newName: net1")
	s.apply(t, claimPod("starts", "starts"))
	s.kubectl(t, "delete", "pod", "stays", "--force", "--grace-period=0")
	s.has(t, "starts", "net1")
	s.kubectl(t, "delete", "pod", "starts")
	s.kubectl(t, "delete", "resourceclaim", "--all")
	s.allHome(t)
}

// killAll kills a program on every node.
func (s *scheduled) killAll(t *testing.T, program string) {
	t.Helper()
	for _, at := range s.sites {
		if _, err := at.Output("sh", "-c", "kill -KILL $(pgrep -x "+program+")"); err != nil {
			t.Fatal(err)
		}
	}
}

// A kubelet that starts deletes the slices of its node, and prepares what starts.
func (s *scheduled) restartsKubelet(t *testing.T) {
	s.claim(t, "stays", "newName: net1")
	s.apply(t, claimPod("stays", "stays"))
	s.has(t, "stays", "net1")
	if err := s.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	if err := s.second.KillKubelet(); err != nil {
		t.Fatal(err)
	}
	s.claim(t, "starts", "newName: net1")
	s.apply(t, claimPod("starts", "starts"))
	if err := s.StartKubelet(); err != nil {
		t.Fatal(err)
	}
	if err := s.second.StartKubelet(); err != nil {
		t.Fatal(err)
	}
	s.has(t, "starts", "net1")
	s.has(t, "stays", "net1")
	s.kubectl(t, "delete", "pod", "stays", "starts")
	s.kubectl(t, "delete", "resourceclaim", "--all")
	s.allHome(t)
}
