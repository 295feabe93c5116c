package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// The main job, seen from the host, from the pod's namespace and from inside
// the pod's container.
func TestPodGetsItsDevices(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 3)
	before := f.world(t)
	s, ns := f.run(t, pod("a", `
- name: eth1
  newName: net1
- name: eth2
  new_name: net2
  addresses: ["192.0.2.77/24", "2001:db8:77::1/64"]
  mtu: 9000
  mac: 02:00:00:00:00:77
- {name: eth3, address: 203.0.113.5, prefix: 24}
`))
	for _, name := range []string{"eth1", "eth2", "eth3"} {
		if left := f.host.Link(t, name); left != "" {
			t.Errorf("the host still has a device:\n%s", left)
		}
	}
	c, err := s.RunContainer(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := c.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The kernel tells a little later that a device that is up is running.
	inside = strings.ReplaceAll(inside, "|running", "")
	for _, want := range []string{
		"net1 mtu 1500 up|broadcast|multicast 10.1.1.1/24 2001:db8:1::1/64",
		"net2 mtu 9000 up|broadcast|multicast 192.0.2.77/24 2001:db8:77::1/64",
		"eth3 mtu 1500 up|broadcast|multicast 203.0.113.5/24",
		"eth0 mtu",
	} {
		if !strings.Contains(inside, want) {
			t.Errorf("the container lacks\n%s\nit sees\n%s", want, inside)
		}
	}
	if mac := ns.Link(t, "net2"); !strings.Contains(mac, "02:00:00:00:00:77") {
		t.Errorf("net2 in the pod:\n%s", mac)
	}
	f.end(t, s)
	f.asBefore(t, before)
}

// The record of a sandbox is there as long as it holds devices, and readable.
func TestRecord(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	s, _ := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	data, err := os.ReadFile(f.Path("/run/nri-netdev/sandboxes/" + s.ID + ".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Version int
		BootID  string
		Sandbox string
		State   string
		Pod     struct{ Namespace, Name, UID string }
		Devices []struct {
			PodName string
			Before  struct {
				Name      string
				MTU       int
				Identity  struct{ Inode, NetnsCookie uint64 }
				Addresses []struct{ Local string }
			}
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if r.Version != 2 || r.BootID == "" || r.Sandbox != s.ID || r.State != "attached" || r.Pod.Name != "a" || r.Pod.UID != s.UID || len(r.Devices) != 1 {
		t.Fatalf("record:\n%s", data)
	}
	d := r.Devices[0]
	if d.PodName != "net1" || d.Before.Name != "eth1" || d.Before.Identity.Inode == 0 || d.Before.Identity.NetnsCookie == 0 || len(d.Before.Addresses) < 2 {
		t.Errorf("record:\n%s", data)
	}
	f.end(t, s)
	if left := f.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
}

func TestUserNamespacePod(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	before := f.world(t)
	p := pod("a", "- {name: eth1, newName: net1}\n- {name: eth2, newName: eth1}\n")
	p.UserNamespace = true
	s, ns := f.run(t, p)
	for _, name := range []string{"net1", "eth1"} {
		if got := ns.IP(t, "-br addr show dev "+name); !strings.Contains(got, "UP") || !strings.Contains(got, "2001:db8:") {
			t.Errorf("%s in the pod: %s", name, got)
		}
	}
	f.end(t, s)
	f.asBefore(t, before)
}

func TestSixteenDevices(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 16)
	before := f.world(t)
	var list strings.Builder
	for i := 1; i <= 16; i++ {
		// Every device takes another's name.
		fmt.Fprintf(&list, "- {name: eth%d, newName: eth%d}\n", i, 17-i)
	}
	p := pod("a", strings.Replace(list.String(), "newName: eth16", "newName: net16", 1))
	s, ns := f.run(t, p)
	if n := strings.Count(ns.IP(t, "-br link show up type veth"), "\n"); n != 17 {
		t.Errorf("the pod has %d devices up, want its eth0 and 16", n)
	}
	f.end(t, s)
	f.asBefore(t, before)
}

// Ten pods want one device at a time. Whoever has it, the others learn.
func TestTenPodsRace(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	sandboxes := make([]*node.Sandbox, 10)
	errs := make([]error, 10)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			sandboxes[i], errs[i] = f.RunPod(t.Context(), pod(fmt.Sprintf("p%d", i), "- {name: eth1, newName: net1}"))
		})
	}
	wg.Wait()
	winners := 0
	for i, s := range sandboxes {
		if errs[i] == nil {
			winners++
			f.end(t, s)
			continue
		}
		if !strings.Contains(errs[i].Error(), `device "eth1" is in use by pod default/p`) {
			t.Errorf("pod %d: %v", i, errs[i])
		}
	}
	if winners != 1 {
		t.Errorf("%d pods got the device, want 1", winners)
	}
	f.asBefore(t, before)
}

// Everything a pod is refused for: its words reach the pod's events, nothing
// has moved, the plugin lives.
func TestRefused(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	f.device(t, "mgmt0")
	f.device(t, "eth20")
	f.host.IP(t, "link add br0 type bridge")
	f.host.IP(t, "link property add dev eth1 altname enp1s0")
	before := f.world(t)
	in := func(namespace, devices string) node.Pod {
		p := pod("refused", devices)
		p.Namespace = namespace
		return p
	}
	hostNetwork, handler := pod("refused", "- name: eth1"), pod("refused", "- name: eth1")
	hostNetwork.HostNetwork = true
	handler.RuntimeHandler = "other"
	two := pod("refused", "- name: eth1")
	two.Annotations["netdevices.nri.containerd.io/pod"] = "- name: eth2"
	for _, tc := range []struct {
		pod  node.Pod
		want string
	}{
		{pod("refused", "- name: eth7x"), `device "eth7x" not found on this node`},
		{pod("refused", "- {name: eth1, newName: net1}\n- name: eth77\n"), `device "eth77" not found on this node`},
		{pod("refused", "- {name: eth1, newName: eth0}"), `cannot name "eth1" "eth0" in the pod: the name is taken`},
		{pod("refused", "- {name: eth2, newName: net1}\n- {name: eth1, newName: eth0}\n"), `cannot name "eth1" "eth0" in the pod: the name is taken`},
		{pod("refused", "- {name: eth1, newName: enp1s0}"), `cannot name "eth1" "enp1s0" in the pod: "enp1s0" is an altname of "eth1"`},
		{hostNetwork, "pod uses the host network"},
		{handler, `runtime handler "other" is not allowed to have host devices on this node`},
		{in("kube-system", "- name: eth1"), `device "eth1" is not allowed in namespace "kube-system"`},
		{in("default", "- name: eth20"), `device "eth20" is not allowed in namespace "default"`},
		{in("default", "- name: mgmt0"), `device "mgmt0" is protected`},
		{in("default", "- {name: eth0, newName: net1}"), `device "eth0" carries the node's default route and never moves`},
		{in("default", "- {name: lo, newName: net1}"), `device "lo" is the loopback device and never moves`},
		{in("default", "- {name: br0, newName: net1}"), `device "br0" is of a kind that the kernel binds to its network namespace`},
		{pod("refused", "- {name: eth1, mtu: 65535}\n- {name: eth2, mac: 03:00:00:00:00:01}\n"), "mac"},
		{pod("refused", "- name: eth1\n- name: enp1s0\n  newName: x\n"), `"eth1" and "enp1s0" are the same device`},
		{two, "netdevices.nri.containerd.io/pod"},
	} {
		f.refused(t, tc.pod, tc.want)
		f.asBefore(t, before)
	}
	s, _ := f.run(t, pod("good", "- {name: eth1, newName: net1}\n- name: eth2\n"))
	f.end(t, s)
	f.asBefore(t, before)
}

// Bad annotations by the dozen, each through a real containerd.
func TestBadAnnotations(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	for _, value := range []string{
		"name: eth1",
		"eth1",
		"- eth1",
		"- name: no",
		"- name: 5",
		"- name: null",
		"- name: ~",
		"- name: 1.5",
		"- name: true",
		"- null",
		"- {}",
		"- Name: eth1",
		"- {name: eth1, newname: net1}",
		"- {name: eth1, unknown: x}",
		"- {name: eth1, name: eth2}",
		"- name: eth1\n---\n- name: eth2\n",
		"[] []",
		"- name: eth1\n  newName: a/b\n",
		"- {name: eth1, newName: lo}",
		"- {name: eth1, newName: ..}",
		"- {name: eth1, newName: sixteencharacter}",
		"- {name: eth1, mtu: '9000'}",
		"- {name: eth1, mtu: 67}",
		"- {name: eth1, mtu: 65536}",
		"- {name: eth1, mtu: 1e4}",
		"- {name: eth1, mac: 01:00:5e:00:00:01}",
		"- {name: eth1, mac: 00:00:00:00:00:00}",
		"- {name: eth1, mac: 02:00:00:00:00}",
		"- {name: eth1, addresses: 10.0.0.1/8}",
		"- {name: eth1, addresses: [10.0.0.1]}",
		"- {name: eth1, addresses: [10.0.0.1/33]}",
		"- {name: eth1, addresses: [224.0.0.1/4]}",
		"- {name: eth1, address: 10.0.0.1, addresses: [10.0.0.2/8]}",
		"- {name: eth1, prefix: 24}",
		"- {name: eth1, pool: fast}",
		"- &a {name: eth1}\n- *a\n",
		"- name: eth1\n- name: eth1\n",
		strings.Repeat("[", 30000),
		strings.Repeat("- ", 30000),
		"- name: " + strings.Repeat("x", 200000),
		"- name: \x00",
		"- \"name\": \"eth1\nnewName\": x",
		"{",
		"\t- name: eth1",
	} {
		f.refused(t, pod("bad", value), annotation)
	}
	f.asBefore(t, before)
	s, _ := f.run(t, pod("good", "[{\"name\": \"eth1\", \"newName\": \"net1\"}]"))
	f.end(t, s)
	f.asBefore(t, before)
}

// A pod deletes the device it was given and puts another in its place.
func TestImpostor(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}\n- {name: eth2, newName: net2}\n"))
	index, _, _ := strings.Cut(ns.IP(t, "-o link show dev net1"), ":")
	ns.IP(t, "link del net1")
	ns.IP(t, fmt.Sprintf("link add index %s name net1 type veth peer index 999 name y", index))
	f.end(t, s)
	if got := f.host.Link(t, "eth1"); got != "" {
		t.Errorf("the host has an eth1 that a pod made:\n%s", got)
	}
	if got := f.host.Link(t, "eth2"); !strings.Contains(got, "10.1.2.1/24") {
		t.Errorf("eth2 is not home as it was:\n%s", got)
	}
	f.eventually(t, "record of the loss", func() bool { return f.recordState() == "lost" })
	f.plugin.waitFor(t, f, "device is lost")
	record, err := os.ReadFile(f.Path("/run/nri-netdev/sandboxes/" + s.ID + ".json"))
	if err != nil || !strings.Contains(string(record), `"state": "lost"`) || strings.Contains(string(record), "eth2") {
		t.Errorf("record of the loss: %v\n%s", err, record)
	}
	// The name is free for the next device that has it.
	f.device(t, "eth1")
	next, _ := f.run(t, pod("b", "- name: eth1"))
	f.end(t, next)
}

// A pod with NET_ADMIN changed all it could.
func TestHostilePod(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	before := f.world(t)
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	for _, cmd := range []string{
		"link set net1 down",
		"link set net1 name mine",
		"link set mine address 02:66:66:66:66:66",
		"link set mine mtu 700",
		"link set mine alias eth2",
		"link set mine promisc on",
		"link property add dev mine altname eth2",
		"addr flush dev mine",
	} {
		ns.IP(t, cmd)
	}
	f.end(t, s)
	f.asBefore(t, before)
}

// Pods of others, beside pods with devices.
func TestPodsOfOthers(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	plain := node.Pod{Name: "plain"}
	empty := pod("empty", "[]")
	for _, p := range []node.Pod{plain, empty} {
		s, _ := f.run(t, p)
		f.end(t, s)
	}
	if logs := f.plugin.logs.String(); strings.Contains(logs, "plain") {
		t.Errorf("the plugin has words for a pod that asks for nothing:\n%s", logs)
	}
	f.asBefore(t, before)
}

// A changed config holds for the next pod; a broken one changes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	p := pod("a", "- name: eth1")
	f.writeConfig(t, strings.Replace(nodeConfig, `"default", "telco-*"`, `"other"`, 1))
	f.plugin.waitFor(t, f, "node config reloaded")
	f.refused(t, p, "is not allowed in namespace")
	f.writeConfig(t, "kind: Nonsense\n")
	f.plugin.waitFor(t, f, "node config not reloaded")
	f.refused(t, p, "is not allowed in namespace")
	f.writeConfig(t, nodeConfig)
	f.eventually(t, "reload", func() bool { return strings.Count(f.plugin.logs.String(), "node config reloaded") == 2 })
	s, _ := f.run(t, p)
	f.end(t, s)
}

// The plugin is replaced, and the runtime restarts, under a running pod.
func TestRestarts(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	before := f.world(t)
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	attached := ns.World(t)
	f.plugin.stop(t)
	f.plugin = f.startPlugin(t)
	if diff := cmp.Diff(attached, ns.World(t)); diff != "" {
		t.Errorf("the plugin's restart changed the pod (-want +got):\n%s", diff)
	}
	f.refused(t, pod("b", "- name: eth1"), `device "eth1" is in use by pod default/a`)
	if err := f.RestartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "registration with the new containerd", func() bool {
		return strings.Count(f.plugin.logs.String(), "msg=registered") == 2
	})
	c, _ := f.run(t, pod("c", "- name: eth2"))
	f.end(t, c)
	if diff := cmp.Diff(attached, ns.World(t)); diff != "" {
		t.Errorf("containerd's restart changed the pod (-want +got):\n%s", diff)
	}
	// containerd sends no StopPodSandbox for a pod from before its restart.
	f.end(t, s)
	f.homeWithin(t, 5*time.Second, before)
}

// A runtime launches the plugin itself: no arguments, the config from NRI.
func TestLaunchedByRuntime(t *testing.T) {
	t.Parallel()
	f := startNode(t, node.Options{})
	f.devices(t, 1)
	before := f.world(t)
	install(t, f, binary(t), "/run/opt/nri/plugins/10-nri-netdev")
	if err := os.MkdirAll(f.Path("/run/etc/nri/conf.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path("/run/etc/nri/conf.d/10-nri-netdev.conf"), []byte(nodeConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.RestartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	if got := ns.Link(t, "net1"); !strings.Contains(got, "10.1.1.1/24") {
		t.Errorf("net1 in the pod:\n%s", got)
	}
	f.end(t, s)
	f.asBefore(t, before)
}

func install(t *testing.T, f *fixture, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(f.Path("/run/opt/nri/plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Path(to), data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// A second plugin on the same state folder waits for the first one's end.
func TestSecondPluginWaits(t *testing.T) {
	t.Parallel()
	f := start(t)
	second := &pluginProcess{logs: &logBuffer{}}
	cmd := exec.Command(binary(t), "run", "--config", f.config, "--name", "second")
	cmd.Stdout, cmd.Stderr = second.logs, second.logs
	var err error
	if second.Process, err = f.Run(cmd); err != nil {
		t.Fatal(err)
	}
	second.waitFor(t, f, "another process works with the state folder")
	if strings.Contains(second.logs.String(), "registered") {
		t.Error("the second plugin registered beside the first")
	}
	f.plugin.stop(t)
	second.waitFor(t, f, "msg=registered")
	second.stop(t)
}
