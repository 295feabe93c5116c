package e2e_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// The neighbors hear of a pod's addresses when there is a carrier, however long ago the pod
// started; and nothing if the pod has ended or the plugin was restarted meanwhile.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	network := nstest.At(f.Path("/run/network"))
	first, second := network.Listen(t, "eth1p"), network.Listen(t, "eth2p")
	network.Shell(t, "ip link set eth1p down; ip link set eth2p down")
	before := f.world(t)
	const devices1 = "- {name: eth1, newName: net1, addresses: [10.1.1.77/24, '2001:db8:1::77/64'], mac: '02:00:00:00:00:71'}"
	const devices2 = "- {name: eth2, newName: net1, addresses: [10.1.2.77/24, '2001:db8:2::77/64'], mac: '02:00:00:00:00:72'}"

	ended, _ := f.run(t, pod("ended", devices1))
	f.end(t, ended)
	f.asBefore(t, before)

	old, ns1 := f.run(t, pod("old", devices1))
	f.plugin.stop(t)
	f.plugin = f.startPlugin(t)
	fresh, ns2 := f.run(t, pod("new", devices2))
	network.Shell(t, "ip link set eth1p up; ip link set eth2p up")
	var want, got []string
	for range 3 {
		want = append(want, "10.1.2.77 is at 02:00:00:00:00:72", "2001:db8:2::77 is at 02:00:00:00:00:72")
	}
	for range want {
		got = append(got, second.Next(t))
	}
	got = append(got, second.Until(t, ns2, "net1")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the neighbor has heard (-want +got):\n%s", diff)
	}
	// By now it would have heard of what began before.
	if got := first.Until(t, ns1, "net1"); len(got) > 0 {
		t.Errorf("after a restart the neighbor has heard %q", got)
	}
	f.end(t, old)
	f.end(t, fresh)
}
