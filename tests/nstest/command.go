package nstest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Command is a command that will run in the namespace. Only the network
// namespace changes; ip-netns(8) would change the mounts as well.
func (ns *NS) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + ns.path, "--", name}, args...)...)
}

// IP runs ip(8) in the namespace and returns what it prints. A single
// argument is split at spaces: ns.IP(t, "link set lo up").
func (ns *NS) IP(t testing.TB, args ...string) string {
	t.Helper()
	out, err := ns.TryIP(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TryIP is IP for commands that may fail.
func (ns *NS) TryIP(args ...string) (string, error) {
	if len(args) == 1 {
		args = strings.Fields(args[0])
	}
	out, err := ns.Command("ip", args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Shell runs a script in the namespace.
func (ns *NS) Shell(t testing.TB, script string) {
	t.Helper()
	if out, err := ns.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// Veth makes a pair of devices, name here and peerName in peer, both down.
func (ns *NS) Veth(t testing.TB, name string, peer *NS, peerName string) {
	t.Helper()
	ns.IP(t, "link", "add", "name", name, "type", "veth", "peer", "name", peerName, "netns", peer.path)
}
