package kernel_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/hosts"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestUplink(t *testing.T) {
	t.Parallel()
	for _, h := range hosts.All(t) {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			host := nstest.New(t)
			host.IP(t, "link set lo up")
			for _, nic := range h.NICs {
				// Both ends in one namespace, so that no peer is foreign.
				host.IP(t, "link add "+nic+" type veth peer name p-"+nic)
				host.IP(t, "link set "+nic+" up")
				host.IP(t, "link set p-"+nic+" up")
			}
			for _, command := range h.Commands {
				if out, err := host.TryIP(command); strings.Contains(out, "Unknown device type") {
					nstest.Unavailable(t, "kinds", command+": "+out)
				} else if err != nil {
					t.Fatalf("ip %s: %v", command, err)
				}
			}
			devices, err := netmove.ReadAll(open(t, host), func(dev netmove.Snapshot) bool { return dev.Identity.Index%2 == 0 })
			if err != nil {
				t.Fatal(err)
			}
			uplink, backup := map[string]string{}, map[string]string{}
			for _, dev := range devices {
				if strings.HasPrefix(dev.Name, "p-") {
					continue // the cable of a NIC
				}
				if words := hosts.Words(dev.Name, dev.Role.Uplink); words != "" {
					uplink[dev.Name] = words
				}
				if words := hosts.Words(dev.Name, dev.Role.Backup); words != "" {
					backup[dev.Name] = words
				}
			}
			if diff := cmp.Diff(h.Uplink, uplink, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("uplink (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(h.Backup, backup, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("backup (-want +got):\n%s", diff)
			}
		})
	}
}
