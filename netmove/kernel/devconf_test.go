package kernel_test

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// What the link tells of sysctls is what their files have, whatever their values are.
func TestSysctlsAsTheirFiles(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	ns.IP(t, "link add eth1 type veth peer name eth2")
	k := open(t, ns)
	for _, value := range []string{"", "0", "1", "2", "3", "7", "100", "65000", "-1"} {
		ns.Do(t, func() { setSysctls(t, "eth1", value) })
		dev, err := k.Snapshot("eth1")
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

// setSysctls writes the value to every sysctl. What one does not take, it does not have.
func setSysctls(t *testing.T, device, value string) {
	t.Helper()
	for _, folder := range []string{"ipv4/conf", "ipv6/conf"} {
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
