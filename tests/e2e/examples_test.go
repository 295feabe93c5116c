package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

const examplesFolder = "../../manifests/examples"

// check is a command in the pod's network namespace, and what it prints.
type check struct {
	command string
	has     []string
	hasNot  []string
}

// ping is one packet there and back, over net1 wherever that leads.
func ping(from, to string) check {
	return check{command: "ping -c1 -W3 -I " + from + " " + to, has: []string{" 0% packet loss"}}
}

// examples are the pods of the folder, and what is seen from inside each.
func examples() map[string][]check {
	ip := func(args string, has ...string) check { return check{command: "ip " + args, has: has} }
	return map[string][]check{
		"pod": {
			ip("addr show net1", "203.0.113.10/24", "2001:db8::10/64", "UP"), ip("addr show net2", "192.0.2.5/24"),
			ping("203.0.113.10", "203.0.113.1"), ping("2001:db8::10", "2001:db8::1"),
		},
		"altname": {ip("link show net1", "altname rack3-port0"), ping("net1", "203.0.113.1")},
		"match":   {ip("link show net1", "02:00:00:00:02:f0"), ping("net1", "203.0.113.1")},
		"pool":    {ip("link show net1", "02:00:00:00:02:f0"), ip("link show net2", "02:00:00:00:02:f1")},
		"no-addresses": {
			{command: "ip addr show net1", has: []string{"UP", "inet6 fe80"}, hasNot: []string{"203.0.113.10", "2001:db8"}},
		},
		"mtu-mac": {ip("link show net1", "mtu 9000", "02:00:00:00:00:99"), {
			command: "ping -c1 -W3 -Mdo -s8900 203.0.113.1", has: []string{" 0% packet loss"},
		}},
		"routes": {
			ip("route show dev net1", "198.18.7.0/24 proto static scope link", "203.0.113.0/24 via 192.0.2.1 proto static src 192.0.2.5 metric 100",
				"172.20.0.0/16 via 10.99.0.1 proto static onlink", "default via 192.0.2.1 proto static metric 1000"),
			ip("-6 route show dev net1", "2001:db8:9::/48 via 2001:db8:5::1 proto static"),
			{command: "ip route get 203.0.113.1", has: []string{"via 192.0.2.1 dev net1 src 192.0.2.5"}},
			ping("192.0.2.5", "203.0.113.1"), ping("2001:db8:5::5", "2001:db8:9::1"), ping("192.0.2.5", "198.18.7.1"),
		},
		"rules": {
			ip("rule", "100:	from 192.0.2.5 lookup 1000", "101:	from all fwmark 0x10 lookup 1000"),
			ip("-6 rule", "100:	from 2001:db8:5::5 lookup 1000", "101:	from all fwmark 0x10 lookup 1000"),
			{command: "ip route get 8.8.8.8 from 192.0.2.5", has: []string{"via 192.0.2.1 dev net1"}},
			{command: "ip route get 8.8.8.8 mark 16", has: []string{"via 192.0.2.1 dev net1"}},
			{command: "ip route get 8.8.8.8", has: []string{"dev eth0"}},
			ping("192.0.2.5", "203.0.113.1"), ping("2001:db8:5::5", "2001:db8:9::1"),
		},
		"neighbors": {
			ip("neigh show dev net1", "192.0.2.1 lladdr 02:00:00:00:00:01 PERMANENT", "2001:db8:5::1 lladdr 02:00:00:00:00:01 PERMANENT"),
			ping("192.0.2.5", "192.0.2.1"), ping("2001:db8:5::5", "2001:db8:5::1"),
		},
		"sysctls": {
			{command: "cat /proc/sys/net/ipv4/conf/net1/arp_ignore /proc/sys/net/ipv4/conf/net1/arp_announce " +
				"/proc/sys/net/ipv4/conf/net1/rp_filter /proc/sys/net/ipv6/conf/net1/accept_ra", has: []string{"1\n2\n2\n0\n"}},
			ping("net1", "203.0.113.1"),
		},
		"offload": {
			{command: "ethtool -k net1", has: []string{"generic-receive-offload: on", "tcp-segmentation-offload: off", "tx-checksum-sctp: off"}},
			ip("-d link show net1", "gso_max_size 185000", "gro_max_size 185000"), ping("net1", "203.0.113.1"),
		},
		"announce":   {ip("link show net1", "02:00:00:00:00:98"), ping("203.0.113.10", "203.0.113.1"), ping("2001:db8::10", "2001:db8::1")},
		"detach-bpf": {{command: "ip link show net1", has: []string{"UP"}, hasNot: []string{"xdp"}}, ping("net1", "203.0.113.1")},
		"nri-sample": {ip("addr show net1", "192.0.2.5/24", "mtu 1400")},
	}
}

// TestExamples runs every pod of the examples under their node config, looks at it from
// inside, and finds the host as it was.
func TestExamples(t *testing.T) { //nolint:tparallel // the pods want the same devices
	t.Parallel()
	f := startNode(t, node.Options{})
	config, err := os.ReadFile(filepath.Join(examplesFolder, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.writeConfig(t, string(config))
	f.exampleDevices(t)
	f.plugin = f.startPlugin(t)
	before := f.world(t)
	all := examples()
	files, err := filepath.Glob(filepath.Join(examplesFolder, "*.yaml"))
	if err != nil || len(files) != len(all)+1 {
		t.Errorf("%d files, %d examples, and the node config: %v", len(files), len(all), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if name == "config" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if len(all[name]) == 0 {
				t.Fatal("nothing is checked of it")
			}
			f.example(t, file, all[name])
			f.asBefore(t, before)
			if link := f.host.IP(t, "link show enp2s2f0"); !strings.Contains(link, "prog/xdp") {
				t.Errorf("the host's program is not on the device:\n%s", link)
			}
		})
	}
}

// example runs the pod of a file with a container.
func (f *fixture) example(t *testing.T, file string, checks []check) {
	t.Helper()
	s, ns := f.run(t, f.examplePod(t, filepath.Base(file)))
	c, err := s.RunContainer(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := c.Network(t.Context())
	if err != nil || !strings.Contains(inside, "net1 mtu ") {
		t.Errorf("the container has no net1: %v\n%s", err, inside)
	}
	for _, check := range checks {
		check.run(t, ns)
	}
	f.end(t, s)
}

// examplePod is the pod of a file.
func (f *fixture) examplePod(t *testing.T, file string) node.Pod {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(examplesFolder, file))
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Metadata struct {
			Name, Namespace string
			Annotations     map[string]string
		}
	}
	if err := yaml.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	m := object.Metadata
	return node.Pod{Name: m.Name, Namespace: m.Namespace, Annotations: m.Annotations}
}

func (c check) run(t *testing.T, ns *nstest.NS) {
	t.Helper()
	args := strings.Fields(c.command)
	out, err := ns.Command(args[0], args[1:]...).CombinedOutput()
	lacks := func(want string) bool { return !strings.Contains(string(out), want) }
	if err != nil || slices.ContainsFunc(c.has, lacks) || !slices.ContainsFunc(append(c.hasNot, "\x00"), lacks) {
		t.Errorf("%s: %v: want %q, and not %q:\n%s", c.command, err, c.has, c.hasNot, out)
	}
}

// exampleDevices makes the two ports that the examples are about, and the network behind
// the first one: a router with addresses of everything that they ask for.
func (f *fixture) exampleDevices(t *testing.T) {
	t.Helper()
	router := nstest.At(f.Path("/run/network"))
	for _, port := range []string{"f0", "f1"} {
		name := "enp2s2" + port
		f.device(t, name)
		f.host.Shell(t, "ip link set "+name+" address 02:00:00:00:02:"+port)
	}
	router.Shell(t, `ip link set enp2s2f0p mtu 9000 address 02:00:00:00:00:01
		sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.enp2s2f0p.accept_dad=0
		ip link set lo up
		for a in 203.0.113.1/24 192.0.2.1/24 10.99.0.1/24 198.18.7.1/24; do ip addr add $a dev enp2s2f0p; done
		for a in 2001:db8::1/64 2001:db8:5::1/64; do ip addr add $a dev enp2s2f0p nodad; done
		ip addr add 2001:db8:9::1/128 dev lo nodad`)
	f.host.Shell(t, `ip link property add dev enp2s2f0 altname rack3-port0
		ip addr add 203.0.113.10/24 dev enp2s2f0; ip addr add 2001:db8::10/64 dev enp2s2f0 nodad
		ip addr add 203.0.113.11/24 dev enp2s2f1; ip addr add 2001:db8:1::11/64 dev enp2s2f1 nodad`)
	f.attachXDP(t, "enp2s2f0")
}

// attachXDP puts a program on a device of the host's that passes everything.
func (f *fixture) attachXDP(t *testing.T, dev string) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	if err != nil {
		nstest.Unavailable(t, "bpf", err.Error())
	}
	t.Cleanup(func() { program.Close() })
	f.host.Do(t, func() {
		device, err := net.InterfaceByName(dev)
		if err != nil {
			t.Fatal(err)
		}
		held, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: device.Index, Flags: link.XDPGenericMode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { held.Close() })
	})
}
