package sandbox

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// offers asks for the inventory as it is now.
func (n *node) offers(t testing.TB) claim.Inventory {
	t.Helper()
	i, err := n.Inventory(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// states are the states of devices, by name.
func states(i claim.Inventory) map[string]claim.State {
	m := map[string]claim.State{}
	for _, d := range i.Devices {
		m[d.Name] = d.State
	}
	return m
}

// Devices of pools that some rule permits and that can move are listed, with all that is
// known of them, and stay listed while a pod has them.
func TestInventory(t *testing.T) {
	n := newNode(t, withPools)
	two := 2
	n.host.Add(netmove.Snapshot{
		Name: "eth4", MTU: 1500, Identity: netmove.Identity{Parent: "0000:81:00.0", Bus: "pci", Driver: "mlx5_core"},
		MAC: netmove.MAC{2, 0, 0, 0, 0, 4},
	})
	n.host.Add(netmove.Snapshot{Name: "other"})
	const pools = allowAll + "pools:\n- {name: fast, devices: [\"eth1\", \"eth4\", \"eth9\", \"other\", lo]}\n- {name: all, devices: [\"*\"]}\n"
	n.start(t, pools)
	dev, err := n.host.ByName("eth4")
	if err != nil {
		t.Fatal(err)
	}
	n.SetHardware(dev.Identity.Inode, netmove.Hardware{Speed: 100000, PCIeRoot: "pci0000:80", NUMANode: &two, RDMA: "mlx5_0"})
	want := claim.Device{
		Name: "pci-0000-81-00-0", Pool: "fast", Interface: "eth4", Driver: "mlx5_core", MAC: "02:00:00:00:00:04", MTU: 1500,
		Speed: 100000, PCIAddress: "0000:81:00.0", PCIeRoot: "pci0000:80", NUMANode: &two, RDMA: "mlx5_0", State: claim.Free,
	}
	// eth9 is the uplink, no rule permits other, lo is lo.
	all := map[string]claim.State{"net-eth1": "free", "net-eth2": "free", "net-eth3": "free", "pci-0000-81-00-0": "free"}
	i := n.offers(t)
	if diff := cmp.Diff(all, states(i)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, i.Devices[3]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	pod := n.pod("a", "")
	n.prepare(t, claimOf(pod, "c-1", "pci-0000-81-00-0"))
	want.State, want.Claim = claim.Reserved, "c-1"
	if diff := cmp.Diff(want, n.offers(t).Devices[3]); diff != "" {
		t.Errorf("reserved (-want +got):\n%s", diff)
	}
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	want.State = claim.InUse
	if diff := cmp.Diff(want, n.offers(t).Devices[3]); diff != "" {
		t.Errorf("in use (-want +got):\n%s", diff)
	}
	// The uplink changes.
	eth1, err := n.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	n.SetFacts(eth1.Identity.Inode, netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default table main", Device: "eth1"}}})
	if _, listed := states(n.offers(t))["net-eth1"]; listed {
		t.Error("the uplink is listed")
	}
	// The process starts anew: speed and place are not known, since the device is away.
	before := n.offers(t).Generation
	n.start(t, pools)
	if i := n.offers(t); i.Generation == before || i.Devices[2].Speed != 0 || i.Devices[2].State != claim.InUse {
		t.Errorf("after a restart: %+v", i)
	}
	n.End(pod.ID)
	want.State = claim.Reserved
	if diff := cmp.Diff(want, n.offers(t).Devices[2]); diff != "" {
		t.Errorf("home (-want +got):\n%s", diff)
	}
}

// A device is read anew only when it, the routing or the node config has changed, or after a
// while: to read one takes many requests to the kernel.
func TestInventoryLooksSeldom(t *testing.T) {
	n := newNode(t, withPools)
	calls := func() int {
		n.Fail(0, netmovetest.Never)
		n.offers(t)
		return n.Calls()
	}
	first, again := calls(), calls()
	if seldom := 2 + 3; again != seldom || first < 2*again {
		t.Errorf("%d requests at first, then %d; want %d: list, routing, hardware of 3", first, again, seldom)
	}
	dev, err := n.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func() error{
		"the device": func() error { return n.host.SetMTU(dev.Identity.Index, 1400) },
		"the routing": func() error {
			n.SetFacts(dev.Identity.Inode, netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default", Device: "eth1"}}})
			return nil
		},
		"time": func() error {
			n.Sleep(lookAnew)
			return nil
		},
		"the config": func() error {
			c, err := config.Parse([]byte(withPools))
			n.SetConfig(c)
			return err
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if changed := calls(); changed <= again {
			t.Errorf("%s has changed, and %d requests were enough", name, changed)
		}
	}
}

// A process begins with a generation of its own, what cannot be read is an error, and of a
// device that is gone nothing is kept.
func TestInventoryEnds(t *testing.T) {
	n := newNode(t, withPools)
	first := n.offers(t)
	if second := newNode(t, withPools).offers(t); first.Generation == second.Generation {
		t.Errorf("two processes begin with generation %d", first.Generation)
	}
	for step := 1; step <= 2; step++ {
		n.Fail(step, netmovetest.Before)
		if i, err := n.Inventory(t.Context(), 0); err == nil {
			t.Errorf("request %d failed: %+v", step, i)
		}
	}
	n.Fail(0, netmovetest.Never)
	if again := n.offers(t); again.Generation != first.Generation {
		t.Errorf("generation %d became %d", first.Generation, again.Generation)
	}
	for _, name := range []string{"eth1", "eth2", "eth3", "eth9"} {
		n.host.Remove(name)
	}
	if left := n.offers(t); len(left.Devices)+len(n.looked.devices)+len(n.looked.hardware) != 0 {
		t.Errorf("left are %v, %v, %v", left.Devices, n.looked.devices, n.looked.hardware)
	}
}

// What a device is doing is told in words.
func TestInventoryStates(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(*journal.Record)
		want claim.State
	}{
		"attaching": {func(r *journal.Record) { r.State = journal.Attaching }, claim.InUse},
		"returning": {func(r *journal.Record) { r.State = journal.Returning }, claim.InUse},
		"misnamed": {func(r *journal.Record) {
			r.State, r.Problems = journal.Returning, map[string]journal.Problem{"eth1": {Misnamed: true, Text: "words"}}
		}, claim.Misnamed},
		"quarantined": {func(r *journal.Record) {
			r.State, r.Quarantined, r.Devices = journal.Quarantined, r.Devices, nil
			r.Problems = map[string]journal.Problem{"eth1": {Text: "words"}}
		}, claim.Quarantined},
		"lost": {func(r *journal.Record) { r.State, r.Lost, r.Devices = journal.Lost, r.Devices, nil }, claim.Lost},
	} {
		n := newNode(t, withPools)
		pod := n.pod("a", "- name: eth1")
		if err := n.run(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		r := *n.recordOf(t, pod)
		tc.edit(&r)
		if err := n.journal.Put(&r); err != nil {
			t.Fatal(err)
		}
		d := n.offers(t).Devices[0]
		if d.Name != "net-eth1" || d.State != tc.want || d.Problem != r.Problems["eth1"].Text || d.MTU != 1500 || d.Claim != "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Names are labels that only one device has, and never change while a device is away.
func TestOfferNames(t *testing.T) {
	device := func(name, pci string, inode uint64) offer {
		return offer{dev: netmove.Snapshot{Name: name, Identity: netmove.Identity{Inode: inode, Parent: pci, Bus: "pci"}}}
	}
	lost := device("eth0", "", 5)
	lost.lost = true
	got := offerNames([]offer{
		device("eth0", "", 1), device("Eth_0.1", "", 2), device("a", "0000:81:00.0", 3), device("b", "0000:81:00.0", 4), lost,
		device("ABCDEFGHIJKLMNO", "", 6),
	})
	want := []string{"net-eth0", "net--45th-5f0-2e1", "nd3", "nd4", "nd5", "net--41-42-43-44-45-46-47-48-49-4a-4b-4c-4d-4e-4f"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range got {
		if len(name) > 63 {
			t.Errorf("%s is no label", name)
		}
	}
}

// Who asks for what he knows waits until there is news.
func TestInventoryWaits(t *testing.T) {
	n := newNode(t, withPools)
	i := n.offers(t)
	answers := make(chan claim.Inventory, 1)
	go func() {
		next, err := n.Inventory(context.Background(), i.Generation)
		if err != nil {
			t.Error(err)
		}
		answers <- next
	}()
	select {
	case next := <-answers:
		t.Fatalf("an answer without news: %+v", next)
	case <-afterAWhile():
	}
	n.prepare(t, claimOf(n.pod("a", ""), "c-1", "net-eth1"))
	next := <-answers
	if next.Generation == i.Generation || states(next)["net-eth1"] != claim.Reserved {
		t.Errorf("news are %+v", next)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if same, err := n.Inventory(ctx, next.Generation); err != nil || same.Generation != next.Generation {
		t.Errorf("without news: %+v, %v", same, err)
	}
}

// What has become of claims is told: waiting, in the pod, returned.
func TestClaimStatuses(t *testing.T) {
	n := newNode(t, withPools)
	pod := n.pod("a", "")
	ask := func() claim.Statuses {
		s, err := n.Claims(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	none := ask()
	c := parameters(claimOf(pod, "c-1", "net-eth1"), 0, `"newName": "net1", "addresses": ["192.0.2.5/24", "2001:db8::5/64"]`)
	n.prepare(t, c)
	want := claim.Status{UID: "c-1", Namespace: "default", Name: "claim-c-1", Devices: []claim.DeviceStatus{
		{Request: "nic-0", Pool: "node-1", Device: "net-eth1"},
	}}
	waiting := ask()
	if diff := cmp.Diff([]claim.Status{want}, waiting.Claims); diff != "" || waiting.Generation == none.Generation {
		t.Errorf("waiting (-want +got):\n%s", diff)
	}
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	want.Devices[0].Ready, want.Devices[0].Interface, want.Devices[0].MAC = true, "net1", "02:00:00:00:00:31"
	want.Devices[0].IPs = []string{"192.0.2.5/24", "2001:db8::5/64"}
	if diff := cmp.Diff([]claim.Status{want}, ask().Claims); diff != "" {
		t.Errorf("in the pod (-want +got):\n%s", diff)
	}
	n.namespaceOf(t, pod).Remove("net1")
	for range looksInVain {
		n.sweep()
		n.Sleep(lookEvery)
	}
	if lost := ask().Claims[0].Devices[0]; lost.Ready || lost.Problem != goneFromPod {
		t.Errorf("lost: %+v", lost)
	}
	n.End(pod.ID)
	if err := n.Unprepare("c-1"); err != nil {
		t.Error(err)
	}
	if left := ask().Claims; len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// Prepare beside many devices of pools, and the inventory of them.
func BenchmarkClaims(b *testing.B) {
	n := newNode(b, withPools)
	for i := range 64 {
		n.host.Add(netmove.Snapshot{Name: fmt.Sprintf("eth%d", 100+i), MTU: 1500})
	}
	n.start(b, strings.Replace(withPools, `["eth1", "eth2"]`, `["eth1*"]`, 1))
	pod := n.pod("a", "")
	b.Run("inventory", func(b *testing.B) {
		for b.Loop() {
			n.offers(b)
		}
	})
	b.Run("prepare", func(b *testing.B) {
		for b.Loop() {
			n.prepare(b, claimOf(pod, "c-1", "net-eth100"))
			if err := n.Unprepare("c-1"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
