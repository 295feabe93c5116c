package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// The plugin is away when the pod starts, and back before its first container:
// the pod gets its devices then, or no container.
func TestPluginAwayAtTheStart(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	f.plugin.stop(t)
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	denied, _ := f.run(t, pod("b", "- name: mgmt0"))
	if got := ns.Link(t, "net1"); got != "" {
		t.Fatalf("who moved it?\n%s", got)
	}
	f.plugin = f.startPlugin(t)
	c, err := s.RunContainer(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	inside, err := c.Network(t.Context())
	if err != nil || !strings.Contains(inside, "net1 mtu 1500 up") || !strings.Contains(inside, "10.1.1.1/24") {
		t.Errorf("the container sees\n%s%v", inside, err)
	}
	if _, err := denied.RunContainer(t.Context(), "main"); err == nil || !strings.Contains(err.Error(), `device "mgmt0" not found on this node`) {
		t.Errorf("error is %v", err)
	}
	f.end(t, s)
	f.end(t, denied)
	f.asBefore(t, before)
}

// The plugin is back only after the first container: it runs without its
// device, which is reported, and the pod gets no other container.
func TestPluginAwayAtTheFirstContainer(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	f.plugin.stop(t)
	s, _ := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	if _, err := s.RunContainer(t.Context(), "main"); err != nil {
		t.Fatal(err)
	}
	f.plugin = f.startPlugin(t)
	f.plugin.waitFor(t, f, "missed: the pod runs without the devices that it asks for")
	if _, err := s.RunContainer(t.Context(), "second"); err == nil || !strings.Contains(err.Error(), "pod runs without the devices that it asks for") {
		t.Errorf("error is %v", err)
	}
	f.end(t, s)
	f.asBefore(t, before)
}

// The plugin is stopped for longer than the runtime waits, and reads the
// request when the runtime has given up on it. The pod has its device before its
// first container, or gets none, and in the end the device is home.
func TestPluginStalls(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	f.plugin.stall(t)
	s, ns := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	f.plugin.signal(t, syscall.SIGCONT)
	f.eventually(t, "second registration", func() bool { return strings.Count(f.plugin.logs.String(), "msg=registered") == 2 })
	_, err := s.RunContainer(t.Context(), "main")
	got := ns.Link(t, "net1")
	if has := strings.Contains(got, "10.1.1.1/24"); has != (err == nil) {
		t.Errorf("the container: %v, the device:\n%s", err, got)
	}
	f.end(t, s)
	f.homeWithin(t, homeLimit, before)
}

// The same, and the pod is gone when the plugin reads the request.
func TestPluginStallsUntilThePodIsGone(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.devices(t, 1)
	before := f.world(t)
	f.plugin.stall(t)
	s, _ := f.run(t, pod("a", "- {name: eth1, newName: net1}"))
	f.end(t, s)
	f.plugin.signal(t, syscall.SIGCONT)
	f.eventually(t, "second registration", func() bool { return strings.Count(f.plugin.logs.String(), "msg=registered") == 2 })
	f.homeWithin(t, homeLimit, before)
	next, _ := f.run(t, pod("b", "- name: eth1"))
	f.end(t, next)
	f.asBefore(t, before)
}

// Everything that the plugin keeps is deleted under a running pod, and is made
// anew: its successor finds the pod's devices, an operator finds the plugin, and
// a second plugin waits.
func TestStateFolderDeleted(t *testing.T) {
	t.Parallel()
	f, before, s, _ := attached(t)
	if _, err := f.Output("sh", "-c", "umount /run/nri-netdev/netns/* && rm -r /run/nri-netdev"); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, "new record", func() bool { return len(f.records(t)) == 1 })
	f.eventually(t, "status", func() bool {
		out, err := f.Output(binary(t), "status")
		return err == nil && strings.Contains(out, "default/a")
	})
	out, err := f.Output("timeout", "1", binary(t), "run", "--config", f.config)
	if says := fmt.Sprint(out, err); !strings.Contains(says, "another process works with the state folder") || strings.Contains(says, "msg=started") {
		t.Errorf("a second plugin says %s", says)
	}
	f.plugin.kill(t)
	f.plugin = f.startPlugin(t)
	f.end(t, s)
	f.homeWithin(t, homeLimit, before)
}
