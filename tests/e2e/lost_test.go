package e2e_test

import (
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// The other end of a pod's device is deleted while the pod runs, and the device with it. All
// say that it is lost; the pod gets no more containers; the name is free; once the pod has
// ended, the record is an operator's to end.
func TestDeviceVanishesFromRunningPod(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 2)
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}\n- name: eth2"))
	if _, err := s.RunContainer(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	nstest.At(f.Path("/run/network")).IP(t, "link del eth1p")
	f.eventually(t, "lost device in the status", func() bool {
		out, err := f.Output(binary(t), "status")
		return err == nil && strings.Contains(out, "lost")
	})
	if out, err := f.Output(binary(t), "devices", "--config", f.config); err != nil || !strings.Contains(out, "lost") {
		t.Errorf("devices: %v\n%s", err, out)
	}
	if got := strings.Count(f.plugin.logs.String(), "device is lost while the pod runs"); got != 1 {
		t.Errorf("logged %d times", got)
	}
	if got := ns.Link(t, "eth2"); !strings.Contains(got, "10.1.2.1/24") {
		t.Errorf("the other device:\n%s", got)
	}
	if _, err := s.RunContainer(t.Context(), "second"); err == nil || !strings.Contains(err.Error(), `device "eth1": device is gone from the pod`) {
		t.Errorf("the next container: %v", err)
	}
	f.device(t, "eth1") // made anew
	next, _ := f.run(t, pod("b", "- name: eth1"))
	if out, err := f.Output(binary(t), "return", "eth1"); err == nil || !strings.Contains(out+err.Error(), "means 2 devices") {
		t.Errorf("return of a name that means two: %v\n%s", err, out)
	}
	f.end(t, next)
	f.end(t, s)
	if _, err := f.Output(binary(t), "return", "eth1"); err == nil {
		t.Error("the lost device is said to be home")
	}
	if left := f.records(t); len(left) > 0 {
		t.Errorf("records are left: %q", left)
	}
}
