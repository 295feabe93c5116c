package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// holdEnv makes TestHoldANode do something.
const holdEnv = "NRI_NETDEV_E2E_HOLD"

// TestHoldANode is the process that TestNodeEndsWithItsProcess kills.
func TestHoldANode(t *testing.T) {
	if os.Getenv(holdEnv) == "" {
		t.Skip("part of TestNodeEndsWithItsProcess")
	}
	n := startNode(t, node.Options{})
	runPod(t, n, node.Pod{Name: "pod"})
	fmt.Println(n.PID())
	select {}
}

func TestNodeEndsWithItsProcess(t *testing.T) {
	t.Parallel()
	holder := exec.Command("/proc/self/exe", "-test.run=^TestHoldANode$")
	holder.Env = append(os.Environ(), holdEnv+"=1")
	output, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	var pid1 int
	_, scanErr := fmt.Fscanln(output, &pid1)
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // an error by nature: killed
	if scanErr != nil {
		t.Fatalf("pid of the node's pid 1: %v", scanErr)
	}
	awaitEnd(t, pid1)

	startNode(t, node.Options{}) // removes cgroups
	if left, _ := filepath.Glob(fmt.Sprintf("/sys/fs/cgroup/*/nri-netdev-e2e-%d-*", holder.Process.Pid)); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
}

// awaitEnd waits until a process has left its namespaces. It may be a zombie
// then: its children were this process's grandchildren, and the machine's
// pid 1 takes its time to reap them.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns/net")); err != nil {
			return
		}
	}
	t.Errorf("pid 1 of the node, %d, lives on", pid)
}
