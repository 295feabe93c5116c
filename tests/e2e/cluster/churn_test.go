package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// churnEnv says how long TestChurn runs, such as "10m".
const churnEnv = "NRI_NETDEV_CHURN"

// TestChurn has pods with devices start and end, and tells what the DaemonSet uses.
func TestChurn(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(churnEnv))
	if err != nil {
		t.Skip("make soak runs it: set " + churnEnv + " to how long")
	}
	f := start(t)
	f.install(t, "manifests")
	f.allow(t)
	f.pluginReady(t)
	out, err := f.Output("pgrep", "-x", "nri-netdev")
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(out)
	began, pods, most := time.Now(), 0, 0
	for time.Since(began) < length {
		for _, dev := range devices {
			f.apply(t, pod("churn-"+dev, dev))
		}
		for _, dev := range devices {
			f.runs(t, "churn-"+dev, dev)
		}
		f.kubectl(t, "delete", "pods", "--all")
		for _, dev := range devices {
			f.isHome(t, dev)
		}
		pods += len(devices)
		most = max(most, f.resident(t, pid))
		if pods == 10*len(devices) {
			t.Logf("after %d pods: %d KiB resident, %s", pods, f.resident(t, pid), f.used(t, pid))
		}
	}
	t.Logf("after %d pods in %v: %d KiB resident, %d at most, %s", pods, time.Since(began).Round(time.Second), f.resident(t, pid), most, f.used(t, pid))
}

// resident is a process's memory in KiB (VmRSS).
func (f *fixture) resident(t *testing.T, pid string) int {
	t.Helper()
	status, err := os.ReadFile(f.Path("/proc/" + pid + "/status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// used is what a process has used of the CPU, and what descriptors it has.
func (f *fixture) used(t *testing.T, pid string) string {
	t.Helper()
	stat, err := os.ReadFile(f.Path("/proc/" + pid + "/stat"))
	if err != nil {
		t.Fatal(err)
	}
	const utime, stime, hertz = 13, 14, 100 // fields of proc(5), sysconf(_SC_CLK_TCK)
	fields := strings.Fields(string(stat))
	ticks := 0
	for _, i := range []int{utime, stime} {
		n, err := strconv.Atoi(fields[i])
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	fds, err := filepath.Glob(f.Path("/proc/" + pid + "/fd/*"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%.2f s of CPU, %d descriptors", float64(ticks)/hertz, len(fds))
}
