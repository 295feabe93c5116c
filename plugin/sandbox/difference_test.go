package sandbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// What is wrong with the settings of a device keeps it from nobody, and is told.
func TestSettingsCannotBePutBack(t *testing.T) {
	n, before, pod, _ := holding(t)
	n.Stubborn(true)
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if state, _ := n.stateOf(t, "eth1"); state != StateReturning {
		t.Errorf("eth1 is %q after the first try, want it to be tried again", state)
	}
	for range enoughTries {
		n.sweep()
	}
	want := []Altered{{Device: "eth1", Pod: "pod default/a", Differences: []netmove.Difference{
		{Attribute: "sysctl ipv4/conf/arp_ignore", Text: "set sysctl ipv4/conf/arp_ignore to 2: operation not supported"},
		{Attribute: "neighbor", Text: "add neighbor 192.0.2.9: operation not supported"},
	}}}
	if diff := cmp.Diff(want, n.Status().Altered, cmpopts.IgnoreUnexported(Altered{})); diff != "" {
		t.Errorf("altered devices (-want +got):\n%s", diff)
	}
	if got := n.seen.of("differs host neighbor"); got != 1 {
		t.Errorf("counted %d times, want 1", got)
	}
	if left := n.records(t); len(left) > 0 {
		t.Errorf("records: %q", left)
	}
	n.Stubborn(false)
	next := n.pod("b", "- name: eth1")
	if err := n.run(t.Context(), next); err != nil {
		t.Error(err)
	}
	if left := n.Status().Altered; len(left) > 0 {
		t.Errorf("somebody has it, and its state is the new one: %+v", left)
	}
	if err := n.stop(t.Context(), next); err != nil {
		t.Error(err)
	}
	if hostOnly(n.World.String()) == before {
		t.Error("nothing was wrong with it")
	}
}

// Altered devices are listed by their names, and no more once they are gone.
func TestAlteredDevicesThatAreGone(t *testing.T) {
	n := newNode(t, allowAll)
	n.host.Remove("eth1")
	n.host.Add(netmove.Snapshot{Name: "eth1", MTU: 1500, Sysctls: map[string]string{"ipv4/conf/arp_ignore": "2"}}) // younger than eth2
	pod := n.pod("a", "- name: eth1\n- name: eth2\n")
	if err := n.run(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.Stubborn(true)
	n.End(pod.ID)
	n.sweeps(enoughTries)
	if got := n.Altered(); len(got) != 2 || got[0].Device != "eth1" || got[1].Device != "eth2" {
		t.Errorf("altered: %+v", got)
	}
	n.host.Remove("eth1")
	n.sweep()
	if got := n.Altered(); len(got) != 1 || got[0].Device != "eth2" {
		t.Errorf("altered: %+v", got)
	}
}

// They come right by themselves.
func TestSettingsPutBackLater(t *testing.T) {
	n, before, pod, _ := holding(t)
	n.Stubborn(true)
	if err := n.stop(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.Stubborn(false)
	n.sweep()
	if diff := cmp.Diff(before, hostOnly(n.World.String())); diff != "" {
		t.Errorf("the host differs (-want +got):\n%s", diff)
	}
	if left := n.Status().Altered; len(left) > 0 {
		t.Errorf("altered devices: %+v", left)
	}
}

// What goes along into the pod without having been asked for may stay behind.
func TestNotAsMeantInThePod(t *testing.T) {
	n := newNode(t, allowAll)
	dev, err := n.host.ByName("eth1")
	if err != nil {
		t.Fatal(err)
	}
	neighbor := netmove.Entry{Table: netmove.TableNeighbor, Text: "192.0.2.77", Message: []byte{77}}
	if err := n.host.PutEntry(dev.Identity.Index, neighbor); err != nil {
		t.Fatal(err)
	}
	n.Stubborn(true)
	if err := n.run(t.Context(), n.pod("a", "- name: eth1")); err != nil {
		t.Fatal(err)
	}
	want := []netmove.Difference{{Attribute: "neighbor", Text: "192.0.2.77: operation not supported"}}
	if diff := cmp.Diff(want, n.Status().Attachments[0].Differences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
	if got := n.seen.of("differs pod neighbor"); got != 1 {
		t.Errorf("counted %d times, want 1", got)
	}
}
