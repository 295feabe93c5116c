package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

const pools = allowAll + `
- {devices: ["other*"], namespaces: ["telco"]}
pools:
- {name: fast, devices: ["eth3", "eth*"]}
- {name: virtual, drivers: [macvlan]}
- {name: others, devices: ["other*"]}
- {name: empty, devices: ["none*"]}
`

// moreDevices makes a NIC, and a macvlan that a rule allows.
func (n *node) moreDevices() {
	n.host.Add(netmove.Snapshot{
		Name: "eth10", MTU: 1500, MAC: netmove.MAC{2, 0, 0, 0, 0, 0x77},
		Identity: netmove.Identity{Parent: "0000:3b:00.1", Bus: "pci", Driver: "ice", PermMAC: netmove.MAC{2, 0, 0, 0, 0, 0x10}},
	})
	n.host.Add(netmove.Snapshot{Name: "ethm", MTU: 1500, Identity: netmove.Identity{Kind: "macvlan"}})
	n.host.Add(netmove.Snapshot{Name: "other1", MTU: 1500})
}

// held is which devices a pod has, by their names on the host.
func (n *node) held(pod string) string {
	r, ok := n.journal.Get("sandbox-" + pod)
	if !ok {
		return ""
	}
	var names []string
	for _, a := range r.Devices {
		names = append(names, a.Before.Name)
	}
	return strings.Join(names, " ")
}

// podNames is which devices a pod has, and under which names.
func (n *node) podNames(pod string) []string {
	r, _ := n.journal.Get("sandbox-" + pod)
	var names []string
	for _, a := range r.Devices {
		names = append(names, a.Before.Name+":"+a.PodName)
	}
	return names
}

func TestSelection(t *testing.T) {
	for _, tc := range []struct{ name, devices, want, refusal string }{
		{"permanent MAC", "- match: {mac: 02:00:00:00:00:10}", "eth10", ""},
		{"MAC of now", "- match: {mac: 02:00:00:00:00:77}", "", `match {mac: "02:00:00:00:00:77"}: device not found on this node`},
		{"MAC of a virtual device", "- match: {mac: 02:00:00:00:00:31}", "eth1", ""},
		{"PCI address", "- match: {pciAddress: '0000:3B:00.1'}", "eth10", ""},
		{"driver", "- match: {driver: ice}", "eth10", ""},
		{"kind", "- match: {driver: macvlan}", "ethm", ""},
		{"facts of two devices", "- match: {driver: ice, mac: 02:00:00:00:00:31}", "", `match {mac: "02:00:00:00:00:31", driver: "ice"}: device not found on this node`},
		{"not allowed", "- match: {driver: ice}\n  mac: 02:00:00:00:00:99", "", `setting "mac" of device "eth10" is not allowed in namespace "default"`},
		{"altname", "- name: alt-eth2", "eth2", ""},

		{"the first of a pool", "- pool: fast", "eth3", ""},
		{"several of a pool, the uplink and what is not allowed are left out", "- pool: fast\n- {pool: fast}\n- {pool: fast}\n- {pool: fast}", "eth3 eth1 eth2 ethm", ""},
		{"names before pools", "- pool: fast\n- name: eth3\n- match: {mac: 02:00:00:00:00:31}", "eth2 eth3 eth1", ""},
		{"more than there are", strings.Repeat("- pool: virtual\n", 2), "", `pool "virtual" has no free device on this node: not found`},
		{"none is allowed", "- pool: others", "", `pool "others" has no device for the pod: device "other1" is not allowed in namespace "default"`},
		{"none is there", "- pool: empty", "", `pool "empty" has no free device on this node`},
		{"no such pool", "- pool: slow", "", `pool "slow" not found in this node's config`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newNode(t, pools)
			n.moreDevices()
			before := n.World.String()
			pod := n.pod("a", tc.devices)
			err := n.run(t.Context(), pod)
			if got := n.held("a"); got != tc.want || !strings.Contains(fmt.Sprint(err), tc.refusal) || (err == nil) != (tc.refusal == "") {
				t.Errorf("has %q, want %q; error\n%v\nwant\n%s", got, tc.want, err, tc.refusal)
			}
			if err := n.stop(t.Context(), pod); err != nil {
				t.Error(err)
			}
			n.RemoveNamespace("pod-a")
			n.asBefore(t, before)
		})
	}
}

// Of the devices of a pool that no rule allows by their names, one is read, for what the pod is
// told, and as many as are given.
func TestPoolOfManyRefused(t *testing.T) {
	calls := func(refused int, asked string) (calls int, told string) {
		n := newNode(t, pools)
		for i := range refused {
			n.host.Add(netmove.Snapshot{Name: fmt.Sprintf("other%03d", i), MTU: 1500})
		}
		if asked == "mixed" {
			n.host.Add(netmove.Snapshot{Name: "othermost", MTU: 1500})
			n.start(t, pools[:strings.Index(pools, "pools:")]+"- {devices: [othermost], namespaces: [default]}\n"+pools[strings.Index(pools, "pools:"):])
		}
		before := n.Calls()
		err := n.run(t.Context(), n.pod("a", "- pool: others"))
		return n.Calls() - before, fmt.Sprint(err, " ", n.held("a"))
	}
	for asked, want := range map[string]string{
		"refused": `pool "others" has no device for the pod: device "other000" is not allowed in namespace "default": ` +
			`no allow rule of this node's config matches device and pod; ask the node's operator `,
		"mixed": "<nil> othermost",
	} {
		few, told := calls(2, asked)
		many, same := calls(200, asked)
		if few != many || told != want || same != want {
			t.Errorf("%s: %d calls with 2 devices that are refused, %d with 200; told\n%s\n%s\nwant\n%s", asked, few, many, told, same, want)
		}
	}
}

// A device of a pool has a name by its place in the list, whichever device that is.
func TestPoolNames(t *testing.T) {
	n := newNode(t, pools)
	if err := n.run(t.Context(), n.pod("a", "- pool: fast\n- name: eth1\n- pool: fast")); err != nil {
		t.Fatal(err)
	}
	got := n.podNames("a")
	if want := []string{"eth3:net1", "eth1:eth1", "eth2:net3"}; !slices.Equal(got, want) {
		t.Errorf("the pod has %v, want %v", got, want)
	}
}

// A name by place that the pod has already, or that another device of the pod brings along,
// refuses the pod before anything moves.
func TestPoolNameIsTaken(t *testing.T) {
	for _, tc := range []struct {
		devices, want string
		prepare       func(n *node, pod *testPod)
	}{
		{
			"- pool: fast", `cannot name "eth3" "net1" in the pod: the name is taken`,
			func(n *node, pod *testPod) { n.namespaceOf(t, pod).Add(netmove.Snapshot{Name: "net1"}) },
		},
		{
			"- pool: fast\n- match: {driver: ice}", `cannot name "eth3" "net1" in the pod: "net1" is an altname of "eth7"`,
			func(n *node, _ *testPod) {
				n.host.Add(netmove.Snapshot{Name: "eth7", MTU: 1500, Altnames: []string{"net1"}, Identity: netmove.Identity{Driver: "ice"}})
			},
		},
	} {
		n := newNode(t, pools)
		pod := n.pod("a", tc.devices)
		tc.prepare(n, pod)
		before := n.World.String()
		if err := n.run(t.Context(), pod); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want %s", err, tc.want)
		}
		n.asBefore(t, before)
	}
}

func TestMatchTwoDevices(t *testing.T) {
	n := newNode(t, pools)
	n.host.Add(netmove.Snapshot{Name: "eth5", MTU: 1500, Identity: netmove.Identity{Kind: "macvlan"}})
	n.moreDevices()
	err := n.run(t.Context(), n.pod("a", "- match: {driver: macvlan}"))
	want := `match {driver: "macvlan"}: 2 devices of this node are meant, "eth5", "ethm": give more facts, or a name`
	if fmt.Sprint(err) != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	// One of them is a pod's: the other one is meant.
	if err := n.run(t.Context(), n.pod("b", "- name: eth5")); err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), n.pod("c", "- match: {driver: macvlan}")); err != nil || n.held("c") != "ethm" {
		t.Errorf("has %q, error %v", n.held("c"), err)
	}
	err = n.run(t.Context(), n.pod("d", "- match: {driver: macvlan}"))
	if want := `device "eth5" is in use by pod default/b`; fmt.Sprint(err) != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

// A pool of which other pods have all devices: who has one is told to who might have it.
func TestPoolOfOthers(t *testing.T) {
	n := newNode(t, pools)
	n.moreDevices()
	telco := n.pod("a", "- name: other1")
	telco.Pod.Namespace = "telco"
	if err := n.run(t.Context(), telco); err != nil {
		t.Fatal(err)
	}
	second := n.pod("b", "- pool: others")
	second.Pod.Namespace = "telco"
	for pod, want := range map[*testPod]string{
		second:                       `pool "others" has no free device: device "other1" is in use by pod telco/a`,
		n.pod("c", "- pool: others"): `pool "others" has no free device: device "other1" is not allowed in namespace "default"`,
	} {
		if err := n.run(t.Context(), pod); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
	n.host.Add(netmove.Snapshot{Name: "other2", MTU: 1500})
	err := n.run(t.Context(), n.pod("d", "- pool: others"))
	if want := `pool "others" has no device for the pod: device "other2" is not allowed`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

// A device that is home and on record, such as one in quarantine, is given from no pool.
func TestPoolWithoutWhatIsOnRecord(t *testing.T) {
	n := newNode(t, pools)
	dev, err := n.host.ByName("eth3")
	if err != nil {
		t.Fatal(err)
	}
	held := &journal.Record{
		Sandbox: "x", State: journal.Quarantined, Devices: []netmove.Attachment{}, Quarantined: []netmove.Attachment{{Before: dev}},
	}
	if err := n.journal.Put(held); err != nil {
		t.Fatal(err)
	}
	if err := n.run(t.Context(), n.pod("a", "- pool: fast")); err != nil || n.held("a") != "eth1" {
		t.Errorf("has %q, error %v", n.held("a"), err)
	}
}

// However many pods ask a pool at once, no device is given twice, and every device is
// given before a pod is refused. A plugin that starts anew knows what is given.
func TestPoolRace(t *testing.T) {
	n := newNode(t, pools)
	errs := make([]error, 5)
	var wg sync.WaitGroup
	for i := range errs {
		pod := n.pod(fmt.Sprint(i), "- pool: fast")
		wg.Go(func() { errs[i] = n.run(t.Context(), pod) })
	}
	wg.Wait()
	owners := map[string]int{}
	refused := 0
	for i, err := range errs {
		if name := n.held(fmt.Sprint(i)); name != "" {
			owners[name]++
			continue
		}
		refused++
		if text := fmt.Sprint(err); !strings.Contains(text, `pool "fast" has no free device: device "eth`) || !strings.Contains(text, "is in use by pod default/") {
			t.Errorf("pod %d: %v", i, err)
		}
	}
	if len(owners) != 3 || owners["eth1"]+owners["eth2"]+owners["eth3"] != 3 || refused != 2 {
		t.Errorf("devices were given as often: %v, %d pods were refused", owners, refused)
	}
	n.start(t, pools)
	if err := n.run(t.Context(), n.pod("late", "- pool: fast")); !strings.Contains(fmt.Sprint(err), "is in use by") {
		t.Errorf("after a restart: %v", err)
	}
}

// A program of the host's that nobody else may hold is held while a pod does without it.
func TestDetachedProgramsAreHeld(t *testing.T) {
	n := newNode(t, strings.Replace(allowAll, "namespaces:", "settings: [detachBPF]\n  namespaces:", 1))
	dev, err := n.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	n.host.AttachProgram(dev.Identity.Index, netmove.Program{Hook: netmove.XDPDriver, ID: 7})
	before := n.World.String()
	pod := n.pod("a", "- {name: eth1, detachBPF: true}\n- name: eth2")
	if err := n.run(t.Context(), pod); err != nil || n.Holders() != 1 {
		t.Errorf("%d programs are held, error %v", n.Holders(), err)
	}
	if err := n.stop(t.Context(), pod); err != nil || n.Holders() != 0 {
		t.Errorf("%d programs are held, error %v", n.Holders(), err)
	}
	n.RemoveNamespace("pod-a")
	n.Hold(dev.Identity.Inode, true) // nobody can take it off
	err = n.run(t.Context(), n.pod("b", "- {name: eth1, detachBPF: true}"))
	if !strings.Contains(fmt.Sprint(err), "detach xdp driver program 7: the program is held") || n.Holders() != 0 {
		t.Errorf("%d programs are held for a pod that was refused: %v", n.Holders(), err)
	}
	n.RemoveNamespace("pod-b")
	n.asBefore(t, before)
}
