package plugin

import (
	"strings"
	"testing"

	"github.com/containerd/nri/pkg/api"
)

func (n *node) create(t *testing.T, pod *api.PodSandbox) error {
	t.Helper()
	adjust, updates, err := n.CreateContainer(t.Context(), pod, &api.Container{Id: "c", PodSandboxId: pod.Id})
	if adjust != nil || updates != nil {
		t.Errorf("the container is adjusted: %v, %v", adjust, updates)
	}
	return err
}

// The pod started while the plugin was away, and has no container yet: it gets
// its devices at the gate.
func TestGateAttachesLate(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	before := n.World.String()
	if err := n.create(t, pod); err != nil {
		t.Fatal(err)
	}
	if _, ok := n.journal.Get(pod.Id); !ok {
		t.Error("the pod has a container and no devices")
	}
	if err := n.StopPodSandbox(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.asBefore(t, before)
}

// It gets none that it may not have, and then no container.
func TestGateRefuses(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth9")
	before := n.World.String()
	for range 2 {
		if err := n.create(t, pod); err == nil || !strings.Contains(err.Error(), "default route") {
			t.Errorf("error is %v", err)
		}
	}
	n.asBefore(t, before)
}

// It has a container already: no other one comes, and it is reported.
func TestGateOfAPodThatWasMissed(t *testing.T) {
	n := newNode(t, allowAll)
	pod, empty := n.pod("a", "- name: eth1"), n.pod("b", "[]")
	before := n.World.String()
	containers := []*api.Container{{Id: "c", PodSandboxId: pod.Id}, {Id: "d", PodSandboxId: empty.Id}}
	if _, err := n.Synchronize(t.Context(), []*api.PodSandbox{pod, empty}, containers); err != nil {
		t.Fatal(err)
	}
	if err := n.create(t, pod); err == nil || err.Error() != errMissed.Error() {
		t.Errorf("error is %v, want %v", err, errMissed)
	}
	if err := n.create(t, empty); err != nil {
		t.Errorf("a pod that asks for nothing is refused: %v", err)
	}
	n.asBefore(t, before)
}

// A program renames its device, another one restarts, the config changes, the
// plugin starts anew: a pod that has its devices is never refused.
func TestGateGoesByTheJournal(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.RunPodSandbox(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := n.create(t, pod); err != nil {
		t.Error(err)
	}
	ns, err := n.OpenNamespace("pod-a")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := ns.Snapshot("net1")
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Rename(dev.Identity.Index, "mine"); err != nil {
		t.Fatal(err)
	}
	n.start(t, strings.Replace(allowAll, "default", "other", 1))
	n.Recover()
	if _, err := n.Synchronize(t.Context(), []*api.PodSandbox{pod}, []*api.Container{{PodSandboxId: pod.Id}}); err != nil {
		t.Fatal(err)
	}
	if err := n.create(t, pod); err != nil {
		t.Error(err)
	}
}

// An event that is told twice changes nothing.
func TestRunToldTwice(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	if err := n.RunPodSandbox(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	attached := n.World.String()
	if err := n.RunPodSandbox(t.Context(), pod); err != nil {
		t.Error(err)
	}
	if n.World.String() != attached {
		t.Error("the second time changed the world")
	}
}

// Containers of others cost nothing.
func TestGateForPodsOfOthers(t *testing.T) {
	n := newNode(t, allowAll)
	pod := &api.PodSandbox{Id: "x", Annotations: map[string]string{"example.com/other": "x"}}
	c := &api.Container{Id: "c", PodSandboxId: "x"}
	ctx := t.Context()
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := n.CreateContainer(ctx, pod, c); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
