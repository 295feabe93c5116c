package kernel_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// systemd-networkd leaves a NIC alone that the shipped file tells it to, with what
// it did not put there itself.
func TestPhysicalBesideNetworkd(t *testing.T) {
	const dev = firstNIC
	n, _ := newMachine(t)
	startNetworkd(t, map[string]string{
		"10-nri-netdev.network": shipped(t, "10-nri-netdev.network"),
		"20-all.network":        "[Match]\nPath=" + firstNICPath + "\n[Network]\nAddress=198.51.100.7/24\n",
	})
	n.dress(t, dev)
	n.returnsExactly(t, dev)
}

// A NIC that systemd-networkd manages is what that makes of it, once more. The two put
// back the same things at the same time, so it may take another look, as the sweep
// has it.
func TestPhysicalManagedByNetworkd(t *testing.T) {
	const dev = firstNIC
	n, _ := newMachine(t)
	startNetworkd(t, map[string]string{
		"20-all.network": "[Match]\nPath=" + firstNICPath + "\n[Network]\nAddress=198.51.100.7/24\nAddress=2001:db8:7::7/64\nIPv6AcceptRA=no\n" +
			"[Route]\nDestination=10.7.0.0/16\nGateway=198.51.100.9\n",
	})
	n.awaitNetworkd(t, dev)
	before := n.host.Settled(t, dev)
	plan := n.attach(t, netmove.Request{Device: dev, PodName: "net1"})
	n.pod.Shell(t, "ip addr flush dev net1; ip link set net1 down; ip link set net1 name theirs1 mtu 1300 address 02:66:66:66:66:66")
	err := n.mover.Return(n.podNS, &plan[0])
	for range 2 {
		if err != nil {
			t.Logf("tried again: %v", err)
			err = n.mover.Return(n.podNS, &plan[0])
		}
	}
	if err != nil {
		t.Error(err)
	}
	n.host.SameDump(t, dev, before)
}

func (n *node) awaitNetworkd(t *testing.T, dev string) {
	t.Helper()
	const patience, pause = 20 * time.Second, 100 * time.Millisecond
	for deadline := time.Now().Add(patience); !strings.Contains(n.host.IP(t, "route show dev "+dev), "10.7.0.0/16"); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not set up by systemd-networkd:\n%s", dev, n.host.IP(t, "addr show dev "+dev))
		}
	}
}

// shipped is a file of manifests/host, about the virtual machine's first NIC.
func shipped(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("manifests/host/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), examplePath) {
		t.Fatalf("%s does not match by the path %s", name, examplePath)
	}
	return strings.ReplaceAll(string(text), examplePath, firstNICPath)
}

// Paths of NICs in the words of udev (ID_PATH): in the shipped files, and of the
// machine's first.
const (
	examplePath  = "pci-0000:02:00.*"
	firstNICPath = "pci-0000:00:02.0"
)

// startNetworkd runs systemd-networkd for the time of the test, with these files.
func startNetworkd(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := "/etc/systemd/network/" + name
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		})
	}
	daemon(t, "/lib/systemd/systemd-networkd")
}

// daemon runs a program for the time of the test.
func daemon(t *testing.T, path string) {
	t.Helper()
	cmd := exec.Command(path)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("%s:\n%s", path, log.String())
		}
	})
}
