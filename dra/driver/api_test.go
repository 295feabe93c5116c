package driver

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	authenticationapi "k8s.io/api/authentication/v1"
	coreapi "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/control"
)

const (
	namespace = "nri-netdev"
	nodeName  = "node"
	ours      = "netdev.noderesource.dev"
)

// world is an API server with the shipped manifests, and a driver on a node that has a plugin.
type world struct {
	*apiServer
	plugin *fakePlugin
	kube   kubernetes.Interface // the driver's, with the token of its pod
	driver *Driver
	stop   func()
}

// newWorld makes one in which the driver runs.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := &world{apiServer: startAPIServer(t, flags...), plugin: newFakePlugin(t)}
	w.kubectl(t, "", "apply", "-k", "../../manifests/overlays/dra")
	for _, name := range []string{nodeName, "other"} {
		if _, err := w.admin.CoreV1().Nodes().Create(t.Context(), &coreapi.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.kube = w.client(t, w.podToken(t))
	w.startDriver(t)
	return w
}

// podToken is the token of a driver's pod on the node.
func (w *world) podToken(t *testing.T) string {
	t.Helper()
	pod := &coreapi.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "driver", Namespace: namespace},
		Spec:       coreapi.PodSpec{NodeName: nodeName, ServiceAccountName: "nri-netdev-dra", Containers: []coreapi.Container{{Name: "main", Image: "none"}}},
	}
	pod, err := w.admin.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request := &authenticationapi.TokenRequest{Spec: authenticationapi.TokenRequestSpec{
		BoundObjectRef: &authenticationapi.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	answer, err := w.admin.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "nri-netdev-dra", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// startDriver runs a driver until the test ends, or stop is called.
func (w *world) startDriver(t *testing.T) {
	t.Helper()
	folder := shortFolder(t)
	opts := Options{NodeName: nodeName, RegistrarDir: folder, PluginDir: folder}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.driver = New(opts, log, w.kube, control.NewClient(w.plugin.folder), NewMetrics())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.driver.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(w.stop)
}

// offer has the plugin offer devices.
func (w *world) offer(devices ...claim.Device) {
	w.plugin.change(func() { w.plugin.inventory.Devices = devices })
}

// published are the devices of our slices, with their taints, and how many slices there are.
func (w *world) published(t *testing.T) (devices map[string]string, count int) {
	t.Helper()
	list, err := w.admin.ResourceV1().ResourceSlices().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	devices = map[string]string{}
	for _, s := range list.Items {
		if s.Spec.Driver != ours || s.Spec.NodeName == nil || *s.Spec.NodeName != nodeName || s.Spec.Pool.Name != nodeName {
			t.Fatalf("not ours: %+v", s.Spec)
		}
		for _, d := range s.Spec.Devices {
			var keys []string
			for _, taint := range d.Taints {
				keys = append(keys, taint.Key)
			}
			devices[d.Name] = strings.Join(keys, " ")
		}
	}
	return devices, len(list.Items)
}

// isPublished waits until the slices have devices with these taints, and no others.
func (w *world) isPublished(t *testing.T, want map[string]string) {
	t.Helper()
	var last map[string]string
	defer func() {
		if t.Failed() {
			t.Logf("published: %v, want %v", last, want)
		}
	}()
	eventually(t, "slice that has what the plugin offers", func() bool {
		last, _ = w.published(t)
		return maps.Equal(last, want)
	})
}

func free(name string) claim.Device { return claim.Device{Name: name, Pool: "fast", State: claim.Free} }

// The slices follow the inventory, with no more rights than the manifests give.
func TestSlicesFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	eventually(t, "slice that says that the driver runs", func() bool {
		devices, count := w.published(t)
		return count == 1 && len(devices) == 0
	})
	w.offer(free("a"), free("b"))
	w.isPublished(t, map[string]string{"a": "", "b": ""})
	w.offer(free("a"), claim.Device{Name: "b", State: claim.InUse}, claim.Device{Name: "c", State: claim.InUse, Claim: "uid"}, claim.Device{Name: "d", State: claim.Lost})
	w.isPublished(t, map[string]string{"a": "", "b": ours + "/in-use", "c": "", "d": ours + "/lost"})

	var many []claim.Device
	want := map[string]string{}
	for i := range 65 {
		many = append(many, free(fmt.Sprintf("nic-%02d", i)))
		want[many[i].Name] = ""
	}
	w.offer(many...)
	w.isPublished(t, want)
	if _, count := w.published(t); count != 2 {
		t.Errorf("65 devices are in %d slices", count)
	}

	// The kubelet deletes the slices of its node when it starts.
	if err := w.admin.ResourceV1().ResourceSlices().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	w.isPublished(t, want)
	w.offer(free("a"))
	w.isPublished(t, map[string]string{"a": ""})
	eventually(t, "one slice", func() bool { _, count := w.published(t); return count == 1 })
}

// The plugin's being away takes nothing out of the slices; what has changed meanwhile is
// published when it is back, and so is what changes while the API server is away.
func TestAways(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.offer(free("a"))
	w.isPublished(t, map[string]string{"a": ""})

	w.plugin.goAway()
	eventually(t, "driver that is not ready", func() bool {
		return w.driver.Ready() != nil && strings.Contains(w.driver.Ready().Error(), "plugin of this node does not answer")
	})
	w.isPublished(t, map[string]string{"a": ""})
	w.plugin.mu.Lock()
	w.plugin.inventory.Devices = []claim.Device{free("b")} // of the same generation
	w.plugin.mu.Unlock()
	w.plugin.listen(t)
	w.isPublished(t, map[string]string{"b": ""})

	c := w.allocate(t, "waits", "b")
	w.apiServer.stop(t)
	w.offer(free("b"), free("c"))
	w.tell(c, claim.DeviceStatus{Request: "nic", Pool: nodeName, Device: "b", Ready: true, Interface: "net1"})
	w.restart(t)
	w.isPublished(t, map[string]string{"b": "", "c": ""})
	w.hasCondition(t, c, metav1.ConditionTrue, "Attached")

	// A driver that ends leaves its slices to the next one.
	w.stop()
	w.isPublished(t, map[string]string{"b": "", "c": ""})
	w.startDriver(t)
	w.offer(free("d"))
	w.isPublished(t, map[string]string{"d": ""})
}

// An API server that knows no taints drops them: what cannot be had is left out.
func TestOldKubernetes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--emulated-version=1.35", "--emulation-forward-compatible=false")
	w.offer(free("a"), claim.Device{Name: "b", State: claim.InUse}, claim.Device{Name: "c", State: claim.InUse, Claim: "uid"})
	w.isPublished(t, map[string]string{"a": "", "c": ""})
	w.offer(free("a"), free("b"))
	w.isPublished(t, map[string]string{"a": "", "b": ""})
	c := w.allocate(t, "old", "a")
	w.tell(c, claim.DeviceStatus{Request: "nic", Pool: nodeName, Device: "a", Ready: true, Interface: "net1"})
	w.hasCondition(t, c, metav1.ConditionTrue, "Attached")
}

// allocate makes a claim that has a device, as the scheduler does.
func (w *world) allocate(t *testing.T, name, device string) *resourceapi.ResourceClaim {
	t.Helper()
	claims := w.admin.ResourceV1().ResourceClaims("default")
	c, err := claims.Create(t.Context(), &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{{
			Name: "nic", Exactly: &resourceapi.ExactDeviceRequest{DeviceClassName: ours},
		}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Status.Allocation = &resourceapi.AllocationResult{
		Devices: resourceapi.DeviceAllocationResult{Results: []resourceapi.DeviceRequestAllocationResult{
			{Request: "nic", Driver: ours, Pool: nodeName, Device: device},
		}},
		NodeSelector: &coreapi.NodeSelector{NodeSelectorTerms: []coreapi.NodeSelectorTerm{{
			MatchFields: []coreapi.NodeSelectorRequirement{{Key: "metadata.name", Operator: coreapi.NodeSelectorOpIn, Values: []string{nodeName}}},
		}}},
	}
	c.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{Resource: "pods", Name: "p", UID: "uid-p"}}
	c, err = claims.UpdateStatus(t.Context(), c, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tell has the plugin say what has become of a claim.
func (w *world) tell(c *resourceapi.ResourceClaim, devices ...claim.DeviceStatus) {
	w.plugin.change(func() {
		w.plugin.statuses.Claims = []claim.Status{{UID: string(c.UID), Namespace: c.Namespace, Name: c.Name, Devices: devices}}
	})
}

// hasCondition waits for a claim whose one device has a condition, and returns its status.
func (w *world) hasCondition(t *testing.T, c *resourceapi.ResourceClaim, status metav1.ConditionStatus, reason string) (s resourceapi.AllocatedDeviceStatus) {
	t.Helper()
	eventually(t, "condition "+reason, func() bool {
		now, err := w.admin.ResourceV1().ResourceClaims(c.Namespace).Get(t.Context(), c.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(now.Status.Devices) != 1 {
			return false
		}
		s = now.Status.Devices[0]
		ready := meta.FindStatusCondition(s.Conditions, "Ready")
		return ready != nil && ready.Status == status && ready.Reason == reason
	})
	return s
}

func TestClaimStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.allocate(t, "c", "a")
	w.tell(c, claim.DeviceStatus{Request: "nic", Pool: nodeName, Device: "a"})
	w.hasCondition(t, c, metav1.ConditionFalse, "Reserved")
	w.tell(c, claim.DeviceStatus{Request: "nic", Pool: nodeName, Device: "a", Problem: "the name is taken"})
	if s := w.hasCondition(t, c, metav1.ConditionFalse, "NotAttached"); s.Conditions[0].Message != "the name is taken" {
		t.Errorf("%+v", s)
	}
	is := claim.DeviceStatus{
		Request: "nic", Pool: nodeName, Device: "a", Ready: true, Interface: "net1", MAC: "02:00:00:00:00:01", IPs: []string{"192.0.2.5/24", "2001:db8::5/64"},
	}
	w.tell(c, is)
	s := w.hasCondition(t, c, metav1.ConditionTrue, "Attached")
	if n := s.NetworkData; n == nil || n.InterfaceName != "net1" || n.HardwareAddress != "02:00:00:00:00:01" || !slices.Equal(n.IPs, is.IPs) {
		t.Errorf("%+v", s)
	}

	// The next driver writes nothing that is there already.
	before, err := w.admin.ResourceV1().ResourceClaims("default").Get(t.Context(), "c", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.startDriver(t)
	marker := w.allocate(t, "marker", "b")
	w.plugin.change(func() {
		w.plugin.statuses.Claims = append(w.plugin.statuses.Claims, claim.Status{
			UID: string(marker.UID), Namespace: "default", Name: "marker", Devices: []claim.DeviceStatus{{Request: "nic", Pool: nodeName, Device: "b"}},
		})
	})
	w.hasCondition(t, marker, metav1.ConditionFalse, "Reserved")
	after, err := w.admin.ResourceV1().ResourceClaims("default").Get(t.Context(), "c", metav1.GetOptions{})
	if err != nil || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("%v: written again: %+v", err, after.Status)
	}
}

// A claim that has the name of one that is gone gets nothing of that one's status.
func TestClaimReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.allocate(t, "c", "a")
	if err := w.admin.ResourceV1().ResourceClaims("default").Delete(t.Context(), "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	replaced := w.allocate(t, "c", "a")
	status := claim.Status{UID: string(old.UID), Namespace: "default", Name: "c", Devices: []claim.DeviceStatus{{Request: "nic", Pool: nodeName, Device: "a", Ready: true}}}
	if err := w.driver.writeStatus(t.Context(), status); err != nil {
		t.Error(err)
	}
	now, err := w.admin.ResourceV1().ResourceClaims("default").Get(t.Context(), "c", metav1.GetOptions{})
	if err != nil || now.UID != replaced.UID || len(now.Status.Devices) != 0 {
		t.Errorf("%v: %+v", err, now.Status)
	}
}

// Who has the driver's token cannot publish for another node or driver.
func TestPolicyOfSlices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slice := func(driver, node string) *resourceapi.ResourceSlice {
		return &resourceapi.ResourceSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "by-hand-" + node},
			Spec:       resourceapi.ResourceSliceSpec{Driver: driver, NodeName: &node, Pool: resourceapi.ResourcePool{Name: node, Generation: 1, ResourceSliceCount: 1}},
		}
	}
	create := func(kube kubernetes.Interface, s *resourceapi.ResourceSlice) error {
		_, err := kube.ResourceV1().ResourceSlices().Create(t.Context(), s, metav1.CreateOptions{})
		return err
	}
	// A policy that was just made does not hold yet.
	eventually(t, "refusal of another node", func() bool {
		err := create(w.kube, slice(ours, "other"))
		if err == nil {
			_ = w.admin.ResourceV1().ResourceSlices().Delete(t.Context(), "by-hand-other", metav1.DeleteOptions{})
		}
		return err != nil && strings.Contains(err.Error(), `the driver of node "node" may not publish devices of node "other"`)
	})
	if err := create(w.kube, slice("gpu.example.com", nodeName)); err == nil || !strings.Contains(err.Error(), "of gpu.example.com") {
		t.Errorf("another driver's slice: %v", err)
	}
	if err := create(w.admin, slice(ours, "other")); err != nil {
		t.Errorf("the policy is for the driver's account alone: %v", err)
	}
	if err := w.kube.ResourceV1().ResourceSlices().Delete(t.Context(), "by-hand-other", metav1.DeleteOptions{}); err == nil {
		t.Error("the driver has deleted a slice of another node")
	}
	unbound, err := w.admin.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "nri-netdev-dra", &authenticationapi.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := create(w.client(t, unbound.Status.Token), slice(ours, nodeName)); err == nil || !strings.Contains(err.Error(), "the token names no node") {
		t.Errorf("a token that is not bound to a node: %v", err)
	}
}

// A claim with a device of ours is for one pod.
func TestPolicyOfClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	claims := w.admin.ResourceV1().ResourceClaims("default")
	second := func(c *resourceapi.ResourceClaim) error {
		now, err := claims.Get(t.Context(), c.Name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		now.Status.ReservedFor = append(now.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: "q", UID: types.UID("uid-q")})
		_, err = claims.UpdateStatus(t.Context(), now, metav1.UpdateOptions{})
		return err
	}
	count := 0
	eventually(t, "refusal of a second pod", func() bool {
		count++ // one that was let in while the policy did not hold yet stays
		err := second(w.allocate(t, fmt.Sprintf("c%d", count), fmt.Sprintf("d%d", count)))
		return err != nil && strings.Contains(err.Error(), "has a network device, which is in one pod only")
	})
	// The end of the first makes room.
	c, err := claims.Get(t.Context(), fmt.Sprintf("c%d", count), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Status.ReservedFor = nil
	if c, err = claims.UpdateStatus(t.Context(), c, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := second(c); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
}

// The driver's account may do what it needs, and no more.
func TestRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.kube.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list pods: %v", err)
	}
	if _, err := w.kube.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list secrets: %v", err)
	}
	if _, err := w.kube.ResourceV1().ResourceClaims("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list claims: %v", err)
	}
	c := w.allocate(t, "c", "a")
	c.Status.ReservedFor = nil
	if _, err := w.kube.ResourceV1().ResourceClaims("default").UpdateStatus(t.Context(), c, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("update a claim's status: %v", err)
	}
}

// The API server takes what is shipped.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := startAPIServer(t)
	s.kubectl(t, "", "create", "namespace", "lab")
	files, err := filepath.Glob("../../manifests/examples/dra/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		s.kubectl(t, "", "create", "--dry-run=server", "--validate=strict", "-f", file)
	}
}
