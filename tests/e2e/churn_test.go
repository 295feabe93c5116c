package e2e_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Pods with eight devices each come and go: nothing grows.
func TestChurn(t *testing.T) {
	t.Parallel()
	const devices, atATime = 8, 2
	pods := sample("NRI_NETDEV_PODS", 8) * 4
	f := start(t)
	f.devices(t, devices*atATime)
	before := f.world(t)
	churn := func(rounds int) {
		for range rounds {
			var wg sync.WaitGroup
			for i := range atATime {
				wg.Go(func() { f.liveOnce(t, i, devices) })
			}
			wg.Wait()
		}
	}
	churn(3) // what is made once is made now
	warm := f.resources(t)
	churn(pods / atATime)
	f.asBefore(t, before)
	hot := f.resources(t)
	for i := 0; i < 100 && hot.grown(warm); i++ { // a pause process is watched for a second more
		time.Sleep(50 * time.Millisecond)
		hot = f.resources(t)
	}
	t.Logf("after 6 pods: %v, after %d more: %v", warm, pods, hot)
	if hot.grown(warm) {
		t.Errorf("it grows: %v, then %v", warm, hot)
	}
	const allowance = 32 << 10 // KiB, for a program with the race detector
	if hot.memory > warm.memory+allowance {
		t.Errorf("memory grows: %v, then %v", warm, hot)
	}
}

// liveOnce is the life of one pod, with devices of its own.
func (f *fixture) liveOnce(t *testing.T, n, devices int) {
	var list strings.Builder
	for i := range devices {
		fmt.Fprintf(&list, "- {name: eth%d, newName: net%d}\n", n*devices+i+1, i)
	}
	s, err := f.RunPod(t.Context(), pod(fmt.Sprintf("p%d", n), list.String()))
	if err != nil {
		t.Error(err)
		return
	}
	f.end(t, s)
}

// resources are what a leak would show in.
type resources struct {
	descriptors, goroutines, threads, mounts, namespaces int

	memory int // resident, KiB
}

// grown tells of what there has to be as much of as before.
func (r resources) grown(before resources) bool {
	return r.descriptors > before.descriptors || r.goroutines > before.goroutines ||
		r.mounts > before.mounts || r.namespaces > before.namespaces
}

func (r resources) String() string {
	return fmt.Sprintf("%d descriptors, %d goroutines, %d threads, %d mounts, %d namespaces, %d MiB", r.descriptors, r.goroutines, r.threads, r.mounts, r.namespaces, r.memory>>10)
}

func (f *fixture) resources(t *testing.T) resources {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(f.plugin.PID()))
	count := func(pattern string) int {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	memory, err := strconv.Atoi(regexp.MustCompile(`VmRSS:\s*(\d+)`).FindStringSubmatch(read("status"))[1])
	if err != nil {
		t.Fatal(err)
	}
	return resources{
		descriptors: count(proc + "/fd/*"),
		goroutines:  f.metric(t, "go_goroutines"),
		threads:     count(proc + "/task/*"),
		mounts:      strings.Count(read("mountinfo"), "\n"),
		namespaces:  count(f.Path("/run/netns/*")) + count(f.Path("/run/nri-netdev/netns/*")),
		memory:      memory,
	}
}

// metric is the value of a metric of the plugin's.
func (f *fixture) metric(t *testing.T, name string) int {
	t.Helper()
	var conn net.Conn
	var err error
	f.host.Do(t, func() { conn, err = net.Dial("tcp", "127.0.0.1:9645") })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /metrics HTTP/1.0\r\n\r\n")
	page, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\d+)$`).FindSubmatch(page)
	if m == nil {
		t.Fatalf("no %s in\n%s", name, page)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
