package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// behind is an address behind every NIC of a node. What comes by the wrong one is dropped there.
const behind = "198.18.0.1"

// startHost starts a node with the node config of an example, and NICs that lead to behind.
func startHost(t *testing.T, example string, nics map[string]string) *fixture {
	t.Helper()
	f := startNode(t, node.Options{})
	config, err := os.ReadFile(filepath.Join(examplesFolder, example, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	f.writeConfig(t, string(config))
	network := nstest.At(f.Path("/run/network"))
	network.Shell(t, "ip link set lo up; ip addr add "+behind+"/32 dev lo; sysctl -qw net.ipv4.conf.all.rp_filter=1")
	for nic, gateway := range nics {
		f.device(t, nic)
		network.IP(t, "addr add "+gateway+" dev "+nic+"p")
	}
	f.plugin = f.startPlugin(t)
	return f
}

// leaves makes sure that what comes from an address leaves by a device, there and back.
func leaves(t *testing.T, where string, ns *nstest.NS, from, dev string) {
	t.Helper()
	route := "ip route get " + behind + " from " + from
	for _, c := range []check{{command: route, has: []string{" dev " + dev + " "}}, ping(from, behind)} {
		t.Run(where+" from "+from, func(t *testing.T) { c.run(t, ns) })
	}
}

// The node has a table and a rule for each rail. They work on the host, in the pod, and on the
// host again.
func TestRails(t *testing.T) {
	t.Parallel()
	nics := map[string]string{}
	for i := range 8 {
		nics[fmt.Sprint("rail", i)] = fmt.Sprintf("172.16.2%d.192/31", i)
	}
	f := startHost(t, "rails", nics)
	for i := range 8 {
		f.host.Shell(t, fmt.Sprintf(`
			ip addr add 172.16.2%[1]d.193/31 dev rail%[1]d
			ip route add default via 172.16.2%[1]d.192 dev rail%[1]d table 100%[1]d
			ip rule add from 172.16.2%[1]d.193 lookup 100%[1]d priority 100`, i))
	}
	before, rules := f.world(t), f.host.IP(t, "rule")
	each := func(where string, ns *nstest.NS) {
		for i := range 8 {
			leaves(t, where, ns, fmt.Sprintf("172.16.2%d.193", i), fmt.Sprint("rail", i))
		}
	}
	each("on the host", f.host)
	s, ns := f.run(t, f.examplePod(t, "rails/pod.yaml"))
	if _, err := s.RunContainer(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	each("in the pod", ns)
	f.end(t, s)
	f.asBefore(t, before)
	if got := f.host.IP(t, "rule"); got != rules {
		t.Errorf("rules are\n%s\nwere\n%s", got, rules)
	}
	each("on the host again", f.host)
}

// The node has two NICs with DHCP. The worse one is a pod's way out, and then the host's again.
func TestTwoUplinks(t *testing.T) {
	t.Parallel()
	f := startHost(t, "two-uplinks", map[string]string{"eth1": "203.0.113.1/24"})
	f.host.Shell(t, `
		ip route replace default via 192.0.2.1 dev eth0 proto dhcp metric 100
		ip route del default via 192.0.2.1 dev eth0 metric 0
		ip addr add 203.0.113.20/24 dev eth1 valid_lft 86400 preferred_lft 86400
		ip route add default via 203.0.113.1 dev eth1 proto dhcp src 203.0.113.20 metric 200`)
	before, routes := f.world(t), f.host.IP(t, "route show dev eth1")
	s, ns := f.run(t, f.examplePod(t, "two-uplinks/pod.yaml"))
	if _, err := s.RunContainer(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []check{
		{command: "ip route get " + behind, has: []string{"via 203.0.113.1 dev net1 src 203.0.113.50"}},
		{command: "ip route show default", has: []string{"dev net1", "dev eth0", "metric 1024"}},
		ping("203.0.113.50", behind),
		{command: "ping -c1 -W3 " + behind, has: []string{" 0% packet loss"}},
	} {
		c.run(t, ns)
	}
	f.end(t, s)
	f.asBefore(t, before)
	if got := f.host.IP(t, "route show dev eth1"); got != routes {
		t.Errorf("routes are\n%s\nwere\n%s", got, routes)
	}
}
