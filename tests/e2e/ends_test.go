package e2e_test

import (
	"os"
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

// homeLimit is how long after a fault has cleared a device may be away.
const homeLimit = 5 * time.Second

// kill kills the plugin as the kernel's OOM killer does.
func (p *pluginProcess) kill(t *testing.T) {
	t.Helper()
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
}

// attached starts a node and a pod that has eth1 as net1.
func attached(t *testing.T) (f *fixture, before string, s *node.Sandbox, ns *nstest.NS) {
	t.Helper()
	f = start(t)
	f.devices(t, 2)
	before = f.world(t)
	s, ns = f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	return f, before, s, ns
}

func (f *fixture) killPause(t *testing.T, s *node.Sandbox) {
	t.Helper()
	pid, err := s.PID(t.Context())
	if err != nil || pid == 0 {
		t.Fatalf("pause process %d: %v", pid, err)
	}
	if _, err := f.Output("kill", "-9", strconv.Itoa(pid)); err != nil {
		t.Fatal(err)
	}
}

// The plugin is away when the pod ends: containerd removes the namespace, and
// the devices, which are virtual, live on in the pin.
func TestPodEndsWhilePluginIsAway(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	f.plugin.kill(t)
	f.end(t, s)
	f.plugin = f.startPlugin(t)
	f.homeWithin(t, homeLimit, before)
}

// The same, and the pod's pause process was killed first.
func TestPauseKilledWhilePluginIsAway(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	f.plugin.kill(t)
	f.killPause(t, s)
	f.plugin = f.startPlugin(t)
	f.homeWithin(t, homeLimit, before)
	f.end(t, s)
	f.asBefore(t, before)
}

// The pause process dies, and no hook comes until the kubelet looks: the
// devices come home by themselves.
func TestPauseKilled(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	f.killPause(t, s)
	f.homeWithin(t, homeLimit, before)
	f.end(t, s)
	f.asBefore(t, before)
}

// containerd is killed and comes back: the pod keeps its device, and when it
// ends, of which containerd tells nobody, the device comes home.
func TestContainerdKilled(t *testing.T) {
	t.Parallel()
	f, before, s, ns := attached(t)
	inPod := ns.World(t)
	if err := f.KillRuntime(); err != nil {
		t.Fatal(err)
	}
	if err := f.StartRuntime(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "registration", func() bool { return strings.Count(f.plugin.logs.String(), "msg=registered") == 2 })
	time.Sleep(4 * time.Second) // sweeps, that must find nothing to do
	if diff := cmp.Diff(inPod, ns.World(t)); diff != "" {
		t.Errorf("the pod differs (-want +got):\n%s", diff)
	}
	f.end(t, s)
	f.homeWithin(t, homeLimit, before)
}

// False signs of a pod's end: its namespace's file is removed, containerd
// forgets it. As long as a process is in it, it keeps its devices.
func TestLivePodIsNotRobbed(t *testing.T) {
	t.Parallel()
	f, before, s, ns := attached(t)
	inPod := ns.World(t)
	path, err := s.Netns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Output("umount", "-l", path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(f.Path(path)); err != nil {
		t.Fatal(err)
	}
	pid, err := s.PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	alive := nstest.At(f.Path("/proc/" + strconv.Itoa(pid) + "/ns/net"))
	for range 2 {
		time.Sleep(4 * time.Second)
		if diff := cmp.Diff(inPod, alive.World(t)); diff != "" {
			t.Fatalf("the pod differs (-want +got):\n%s", diff)
		}
		f.plugin.kill(t)
		f.plugin = f.startPlugin(t)
	}
	f.killPause(t, s)
	f.homeWithin(t, homeLimit, before)
}

// Everything that holds the namespace is taken away but the pin.
func TestNamespaceDeletedBehindEveryonesBack(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	path, err := s.Netns(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.plugin.kill(t)
	f.killPause(t, s)
	if _, err := f.Output("sh", "-c", "umount -l "+path+" && rm "+path); err != nil {
		t.Fatal(err)
	}
	f.plugin = f.startPlugin(t)
	f.homeWithin(t, homeLimit, before)
}

// The kubelet replaces a sandbox whose pause died, before its Stop is told.
func TestNewSandboxOfTheSamePod(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	f.killPause(t, s)
	again := pod("a-again", "- {name: eth1, newName: net1}")
	again.UID = s.UID
	next, ns := f.run(t, again)
	if got := ns.Link(t, "net1"); !strings.Contains(got, "10.1.1.1/24") {
		t.Errorf("net1 in the new sandbox:\n%s", got)
	}
	f.end(t, s)
	if got := ns.Link(t, "net1"); got == "" {
		t.Error("the old sandbox's end took the new one's device")
	}
	f.end(t, next)
	f.asBefore(t, before)
}

// The host takes name and index while the device is in the pod. It comes home
// under a name that tells what it is, and gets its own when that is free.
func TestNameTakenOnTheHost(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	index := regexp.MustCompile(`(?m)^(\d+): eth1\b`).FindStringSubmatch(before)[1]
	f.host.IP(t, "link add index "+index+" name eth1 type veth peer index 998 name taker")
	f.end(t, s)
	if home := f.host.IP(t, "-br addr show to 10.1.1.1/24"); !strings.HasPrefix(home, "nd") {
		t.Errorf("the device is home as %q", home)
	}
	f.refused(t, pod("b", "- name: eth7x"), "not found")
	f.host.IP(t, "link del eth1")
	f.eventually(t, "own name", func() bool { return strings.HasPrefix(f.host.IP(t, "-br addr show to 10.1.1.1/24"), "eth1@") })
	f.eventually(t, "removal of the record", func() bool { return len(f.records(t)) == 0 })
}

// The state folder is full: no pod gets a device, and no return waits.
func TestStateFolderFull(t *testing.T) {
	t.Parallel()
	f := startNode(t, node.Options{})
	f.devices(t, 2)
	before := f.world(t)
	if _, err := f.Output("sh", "-c", "mkdir /run/nri-netdev && mount -t tmpfs -o size=256k tmpfs /run/nri-netdev"); err != nil {
		t.Fatal(err)
	}
	f.plugin = f.startPlugin(t)
	s, _ := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	if out, err := f.Output("dd", "if=/dev/zero", "of=/run/nri-netdev/fill", "bs=4k"); err == nil {
		t.Fatalf("the state folder cannot be filled: %s", out)
	}
	f.refused(t, pod("b", "- name: eth2"), "no space left on device")
	f.end(t, s)
	f.homeWithin(t, homeLimit, before)
}

// Many kills of the plugin, at any moment of a pod's start and end. Each time
// the pod has its device or has none, and in the end the host is as before.
func TestKills(t *testing.T) {
	t.Parallel()
	const nodes = 4
	kills := sample("NRI_NETDEV_KILLS", 24)
	met := &tally{count: map[string]int{}}
	t.Cleanup(func() {
		t.Logf("%d kills met the sandbox's record as: %v", kills, met.count)
		if met.count["attaching"] == 0 || met.count["returning"] == 0 {
			t.Errorf("%d kills met none in the middle of an attach, or none of a return: %v", kills, met.count)
		}
	})
	for i := range nodes {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			f := startNode(t, node.Options{})
			f.writeConfig(t, strings.Replace(nodeConfig, "[addresses, address, mtu, mac]", `["*"]`, 1))
			f.plugin = f.startPlugin(t)
			f.devices(t, 2)
			f.attachXDP(t, "eth2")
			before := f.world(t)
			for n := i * (kills / nodes); n < (i+1)*(kills/nodes); n++ { // each node has moments of its own
				f.killOnce(t, n, before, met)
				if link := f.host.IP(t, "link show eth2"); !strings.Contains(link, "prog/xdp") {
					t.Errorf("the host's program is not on the device:\n%s", link)
				}
				if t.Failed() {
					t.Fatalf("after kill %d", n)
				}
			}
		})
	}
}

// tally counts what the kills met.
type tally struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *tally) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count[what]++
}

// recordState is the state in the only record, "none" without one.
func (f *fixture) recordState() string {
	files, _ := filepath.Glob(f.Path("/run/nri-netdev/sandboxes/*.json"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if m := regexp.MustCompile(`"state": "(.*)"`).FindSubmatch(data); err == nil && m != nil {
			return string(m[1])
		}
	}
	return "none"
}

// everySetting is two devices that swap a name, with all that a pod may ask for.
const everySetting = `
- name: eth1
  newName: eth2
  addresses: ["192.0.2.5/24", "2001:db8:5::5/64"]
  mtu: 9000
  mac: "02:00:00:00:00:77"
  routes: [{to: 198.18.0.0/15}, {to: default, via: 192.0.2.1, table: 1000}, {to: "2001:db8:9::/48", via: "2001:db8:5::1"}]
  rules: [{from: 192.0.2.5, table: 1000}, {fwMark: 7, table: 1000}]
  neighbors: [{ip: 192.0.2.1, mac: "02:00:00:00:00:01"}]
  sysctls: {ipv4/arp_ignore: 1, ipv6/accept_ra: 0}
- name: eth2
  newName: eth1
  ethtool: {features: {tcp-segmentation-offload: false}}
  gsoMaxSize: 100000
  detachBPF: true
`

// killOnce runs a pod through its life, and kills the plugin in the middle of
// an attach or a return, at a moment that n chooses.
func (f *fixture) killOnce(t *testing.T, n int, before string, met *tally) {
	t.Helper()
	const spread = 50 // ms, about what an attach of two devices takes
	begun := func() bool { return f.recordState() == "attaching" }
	if n%2 == 1 {
		begun = func() bool { s := f.recordState(); return s == "returning" || s == "none" }
	}
	killed := make(chan struct{})
	kill := func() {
		for range 3000 { // 3 s, if the moment never comes
			if begun() {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(n*7%spread) * time.Millisecond)
		f.plugin.kill(t)
		met.add(f.recordState())
		close(killed)
	}
	if n%2 == 0 {
		go kill()
	}
	s, err := f.RunPod(t.Context(), pod("a", everySetting))
	if n%2 == 1 {
		// A busy machine may be too slow for the runtime's time-out; the kubelet tries again, too.
		for tries := 0; tries < 10 && err != nil && strings.Contains(err.Error(), "in the time that the runtime allows"); tries++ {
			s, err = f.RunPod(t.Context(), pod("a", everySetting))
		}
		if err != nil {
			t.Fatal(err)
		}
		go kill()
	}
	if err == nil {
		f.end(t, s)
	}
	<-killed
	f.plugin = f.startPlugin(t)
	f.homeWithin(t, 2*homeLimit, before)
}
