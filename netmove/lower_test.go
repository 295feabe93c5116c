package netmove_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// A device has no larger MTU than the one below it, which is known before anything moves.
func TestMTUOfTheLower(t *testing.T) {
	dev := netmove.Device{Snapshot: netmove.Snapshot{Name: "mv0", MTU: 1500, MinMTU: 68, MaxMTU: 65535}}
	dev.Lower = netmove.Lower{Name: "nic0", MTU: 1500}
	for mtu, want := range map[int]string{
		0: "", 1500: "", 1400: "",
		1501: `device "mv0": mtu 1501 is more than the 1500 that the device below, "nic0", allows`,
	} {
		_, err := netmove.NewPlan([]netmove.Request{{Device: "mv0", PodName: "net1", MTU: mtu}}, []netmove.Device{dev})
		if got := text(err); got != want {
			t.Errorf("mtu %d: %q, want %q", mtu, got, want)
		}
	}
	dev.Lower.MTU = 0
	if _, err := netmove.NewPlan([]netmove.Request{{Device: "mv0", MTU: 9000}}, []netmove.Device{dev}); err != nil {
		t.Errorf("a kind without that limit: %v", err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
