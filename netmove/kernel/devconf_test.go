package kernel_test

import (
	"os"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// What the link tells of sysctls is what their files have, whatever their values are.
func TestSysctlsAsTheirFiles(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	ns.IP(t, "link add eth1 type veth peer name eth2")
	k := open(t, ns)
	for _, value := range []string{
		"", "0", "1", "2", "3", "7", "100", "65000", "-1", "-2",
		"4294968", "4300000", "8500000", "429496730", "429496740", "800000001",
	} { // times of more than 2^32 ms
		ns.Do(t, func() { setSysctls(t, "eth1", value) })
		dev, err := netmove.Read(k, "eth1")
		if err != nil {
			t.Fatal(err)
		}
		ns.Do(t, func() {
			for name, got := range dev.Sysctls {
				folder, file := path.Split(name)
				data, err := os.ReadFile(path.Join("/proc/sys/net", folder, "eth1", file))
				if want := strings.TrimSpace(string(data)); err != nil || got != want {
					t.Errorf("after %q: %s is %q, its file has %q, %v", value, name, got, want, err)
				}
			}
			if n := len(dev.Sysctls); n < 100 {
				t.Errorf("%d sysctls", n)
			}
		})
	}
}

// On a host with many devices their files tell the sysctls of neighbors, and they are the
// same.
func TestSysctlsAmongManyDevices(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	ns.Shell(t, `ip link add eth1 type veth peer name eth2
		sysctl -qw net.ipv4.neigh.eth1.ucast_solicit=7 net.ipv6.neigh.eth1.gc_stale_time=77`)
	var requests atomic.Int64
	k, err := kernel.Linux{Asked: func() { requests.Add(1) }}.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	look := func() (netmove.Device, int64) {
		requests.Store(0)
		dev, err := netmove.Read(k, "eth1")
		if err != nil {
			t.Fatal(err)
		}
		return dev, requests.Load()
	}
	look() // and finds out what a veth does not have
	few, asked := look()
	ns.Shell(t, "for i in $(seq 30); do echo link add x$i type veth peer name y$i; done | ip -batch -")
	look() // and sees how many there are
	many, askedMany := look()
	if diff := cmp.Diff(few.Sysctls, many.Sysctls); diff != "" {
		t.Errorf("sysctls (-few +many):\n%s", diff)
	}
	if few.Sysctls["ipv6/neigh/gc_stale_time"] != "77" || askedMany != asked-1 {
		t.Errorf("gc_stale_time is %q; %d requests among many devices, %d among few",
			few.Sysctls["ipv6/neigh/gc_stale_time"], askedMany, asked)
	}
}

// setSysctls writes the value to every sysctl. What one does not take, it does not have.
func setSysctls(t *testing.T, device, value string) {
	t.Helper()
	for _, folder := range []string{"ipv4/conf", "ipv6/conf", "ipv4/neigh", "ipv6/neigh"} {
		files, err := os.ReadDir(path.Join("/proc/sys/net", folder, device))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := f.Name(); value != "" && name != "mtu" && name != "stable_secret" {
				_ = os.WriteFile(path.Join("/proc/sys/net", folder, device, name), []byte(value), 0)
			}
		}
	}
}
