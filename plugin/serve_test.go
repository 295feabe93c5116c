//go:build !race

// The runtime's half of the NRI library has data races of its own
// (adaptation.plugin.name against RegisterPlugin), so these tests run without
// the race detector. The containerd tests run the plugin with it.

package plugin

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/adaptation"
	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/net/multiplex"
	"github.com/containerd/ttrpc"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin/plugintest"
)

// runtimeSide is the runtime's half of NRI, on a real socket.
type runtimeSide struct{ *adaptation.Adaptation }

func startRuntime(t testing.TB, socket string) *runtimeSide {
	t.Helper()
	return startRuntimeWith(t, socket, func(ctx context.Context, synchronize adaptation.SyncCB) error {
		_, err := synchronize(ctx, nil, nil)
		return err
	})
}

// startRuntimeWith starts a runtime that synchronizes plugins in its own way.
func startRuntimeWith(t testing.TB, socket string, sync func(context.Context, adaptation.SyncCB) error) *runtimeSide {
	t.Helper()
	update := func(context.Context, []*api.ContainerUpdate) ([]*api.ContainerUpdate, error) { return nil, nil }
	a, err := adaptation.New("test", "v1", sync, update,
		adaptation.WithSocketPath(socket),
		adaptation.WithPluginPath(filepath.Join(t.TempDir(), "plugins")),
		adaptation.WithPluginConfigPath(filepath.Join(t.TempDir(), "conf.d")))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return &runtimeSide{a}
}

// await waits until the plugin gets the runtime's events, by a pod that it
// refuses.
func (r *runtimeSide) await(t testing.TB) {
	t.Helper()
	bad := &api.PodSandbox{Id: "probe", Annotations: map[string]string{config.Annotation: "bad"}}
	plugintest.Eventually(t, "registration", func() bool { return r.run(t, bad) != nil })
}

func (r *runtimeSide) run(t testing.TB, pod *api.PodSandbox) error {
	t.Helper()
	return r.RunPodSandbox(t.Context(), &api.RunPodSandboxRequest{Pod: pod})
}

func (r *runtimeSide) stop(t *testing.T, pod *api.PodSandbox) {
	t.Helper()
	if err := r.StopPodSandbox(t.Context(), &api.StopPodSandboxRequest{Pod: pod}); err != nil {
		t.Error(err)
	}
}

func (r *runtimeSide) remove(t *testing.T, pod *api.PodSandbox) {
	t.Helper()
	if err := r.RemovePodSandbox(t.Context(), &api.RemovePodSandboxRequest{Pod: pod}); err != nil {
		t.Error(err)
	}
}

// served is a node whose plugin serves a runtime, until the test ends.
func served(t *testing.T) (*node, *runtimeSide, string) {
	t.Helper()
	n := newNode(t, allowAll)
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startRuntime(t, socket)
	n.serve(t, socket)
	r.await(t)
	return n, r, socket
}

func (n *node) serve(t testing.TB, socket string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx, Registration{Socket: socket, Name: "nri-netdev", Index: "10"}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Every order in which runtimes tell of a pod.
func TestOrdersOfEvents(t *testing.T) {
	for _, events := range []string{
		"run stop remove",        // the usual one
		"run stop remove remove", // containerd, after a refusal
		"run remove",             // containerd, when it failed after the hook
		"run stop stop",          // the kubelet insists
		"stop remove run stop",   // late news of the pod before
		"stop remove",            // never started here
	} {
		t.Run(events, func(t *testing.T) {
			n, r, _ := served(t)
			pod := n.pod("a", "- {name: eth1, newName: net1}\n- name: eth2\n")
			before := n.World.String()
			for event := range strings.FieldsSeq(events) {
				switch event {
				case "run":
					if err := r.run(t, pod); err != nil {
						t.Error(err)
					}
				case "stop":
					r.stop(t, pod)
				case "remove":
					r.remove(t, pod)
				}
			}
			n.asBefore(t, before)
		})
	}
}

// A refusal reaches the runtime word for word, and the plugin lives.
func TestRefusalReachesTheRuntime(t *testing.T) {
	n, r, _ := served(t)
	pod := n.pod("a", "- name: eth7")
	if err := r.run(t, pod); err == nil || !strings.Contains(err.Error(), `device "eth7" not found on this node`) {
		t.Errorf("error is %v", err)
	}
	r.stop(t, pod)
	if err := r.run(t, n.pod("b", "- name: eth1")); err != nil {
		t.Error(err)
	}
}

// cable is a connection between plugin and runtime that can be cut.
type cable struct {
	net.Listener
	ends chan net.Conn
}

func lay(t *testing.T, from, to string) *cable {
	t.Helper()
	l, err := net.Listen("unix", from)
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{l, make(chan net.Conn, 100)}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", to)
			if err != nil {
				near.Close()
				continue
			}
			c.ends <- near
			c.ends <- far
			go pipe(near, far)
			go pipe(far, near)
		}
	}()
	return c
}

// pipe copies until either end is closed, which is its only end.
func pipe(to, from net.Conn) { _, _ = io.Copy(to, from) }

func (c *cable) cut(t *testing.T) {
	t.Helper()
	if err := c.Close(); err != nil { // removes the socket, too
		t.Error(err)
	}
	for len(c.ends) > 0 {
		(<-c.ends).Close()
	}
}

// The connection is cut, the socket is gone and comes back: the plugin is there
// within two seconds, and has what its pods have.
func TestReconnect(t *testing.T) {
	n := newNode(t, allowAll)
	socket, far := filepath.Join(t.TempDir(), "cable.sock"), filepath.Join(t.TempDir(), "nri.sock")
	r := startRuntime(t, far)
	c := lay(t, socket, far)
	n.serve(t, socket)
	r.await(t)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	before := n.World.String()
	if err := r.run(t, pod); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.cut(t)
		plugintest.Eventually(t, "loss of the connection", func() bool { return !n.Registered() })
		time.Sleep(500 * time.Millisecond) // the plugin meets no socket
		c = lay(t, socket, far)
		back := time.Now()
		r.await(t)
		t.Logf("registered %v after the socket's return", time.Since(back).Round(time.Millisecond))
	}
	r.stop(t, pod)
	n.asBefore(t, before)
	c.cut(t)
}

// A runtime that takes the connection and then says nothing, as one does that
// dies between registration and configuration, is given up.
func TestSilentRuntime(t *testing.T) {
	n := newNode(t, allowAll)
	socket := filepath.Join(t.TempDir(), "nri.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	n.serve(t, socket)
	(<-conns).Close()
	(<-conns).Close() // it connects again
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	startRuntime(t, socket).await(t)
}

// A runtime that dies between the registration and the configuration, again and again: the
// plugin is back each time, and nothing of the connection is left.
func TestRuntimeDiesBeforeItConfigures(t *testing.T) {
	n := newNode(t, allowAll)
	socket := filepath.Join(t.TempDir(), "nri.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	n.serve(t, socket)
	registerOnce(t, l)
	settled := goroutinesOfConnections()
	const deaths = 5
	for range deaths {
		registerOnce(t, l)
	}
	if n.Registered() {
		t.Error("the plugin takes itself for registered")
	}
	plugintest.Eventually(t, "end of the connections", func() bool { return goroutinesOfConnections() <= settled })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	startRuntime(t, socket).await(t)
	plugintest.Eventually(t, "registration", n.Registered)
}

// registrar answers a plugin's registration.
type registrar struct{ done chan struct{} }

func (r registrar) RegisterPlugin(context.Context, *api.RegisterPluginRequest) (*api.Empty, error) {
	defer close(r.done)
	return &api.Empty{}, nil
}

func (registrar) UpdateContainers(context.Context, *api.UpdateContainersRequest) (*api.UpdateContainersResponse, error) {
	return &api.UpdateContainersResponse{}, nil
}

// registerOnce is a runtime that takes one connection, answers the registration, and dies.
func registerOnce(t *testing.T, l net.Listener) {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	mux := multiplex.Multiplex(conn)
	requests, err := mux.Listen(multiplex.RuntimeServiceConn)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	r := registrar{make(chan struct{})}
	api.RegisterRuntimeService(server, r)
	served := make(chan struct{})
	go func() {
		_ = server.Serve(t.Context(), requests)
		close(served)
	}()
	select {
	case <-r.done:
	case <-time.After(time.Minute):
		t.Error("the plugin does not register")
	}
	time.Sleep(10 * time.Millisecond) // no event tells that the answer is read
	server.Close()
	mux.Close()
	<-served
}

// goroutinesOfConnections counts the goroutines that serve or wait for a runtime.
func goroutinesOfConnections() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "nri/pkg/stub.(*stub).Start(") + strings.Count(string(stacks), "multiplex.(*mux).reader")
}

// A runtime configures the plugin, lists its pods, and drops the plugin: it was never
// registered, and did not say so.
func TestNotRegisteredUntilAccepted(t *testing.T) {
	n := newNode(t, allowAll)
	socket := filepath.Join(t.TempDir(), "nri.sock")
	lists, early := make(chan struct{}, 100), atomic.Int32{}
	var accepts, started atomic.Bool
	startRuntimeWith(t, socket, func(ctx context.Context, synchronize adaptation.SyncCB) error {
		if !started.Swap(true) { // with plugins that the runtime launches, of which there are none
			return nil
		}
		defer func() { lists <- struct{}{} }()
		if n.Registered() || n.Status().Runtime != nil {
			early.Add(1)
		}
		if _, err := synchronize(ctx, nil, nil); err != nil || accepts.Load() {
			return err
		}
		return errors.New("the answer came too late")
	})
	n.serve(t, socket)
	for range 5 {
		<-lists
	}
	if early.Load() > 0 || n.Registered() || n.metric(t, "nri_netdev_registered") != "0" {
		t.Errorf("registered with a runtime that has dropped it, %d times of 5", early.Load())
	}
	accepts.Store(true)
	plugintest.Eventually(t, "registration", n.Registered)
	if n.Status().Runtime == nil || n.metric(t, "nri_netdev_registered") != "1" {
		t.Error("status or metric say that it is not registered")
	}
}

// However many pods have annotations that are dear to read, the plugin is registered, and
// another pod gets its devices.
func TestRegistersBesideDearAnnotations(t *testing.T) {
	n := newNode(t, allowAll)
	var pods []*api.PodSandbox
	var containers []*api.Container
	for i := range 110 {
		pod := n.pod(strconv.Itoa(i), "[{"+strings.Repeat("a,", 32764)+"}]")
		pods, containers = append(pods, pod), append(containers, &api.Container{PodSandboxId: pod.Id})
	}
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startRuntimeWith(t, socket, func(ctx context.Context, synchronize adaptation.SyncCB) error {
		_, err := synchronize(ctx, pods, containers)
		return err
	})
	n.serve(t, socket)
	plugintest.Eventually(t, "registration", n.Registered)
	if err := r.run(t, n.pod("next", "- name: eth1")); err != nil {
		t.Error(err)
	}
}

// The kernel is slow and the runtime's time-out short: the plugin answers
// before it, so that the runtime does not drop it, and what it began is undone.
func TestShortTimeout(t *testing.T) {
	adaptation.SetPluginRequestTimeout(answerMargin + 100*time.Millisecond)
	t.Cleanup(func() { adaptation.SetPluginRequestTimeout(adaptation.DefaultPluginRequestTimeout) })
	n, r, _ := served(t)
	pod := n.pod("a", "- name: eth1\n- name: eth2\n")
	before := n.World.String()
	unblock := n.Block()
	if err := r.run(t, pod); err == nil || !strings.Contains(err.Error(), errOutOfTime.Error()) {
		t.Errorf("error is %v", err)
	}
	r.stop(t, pod)
	r.remove(t, pod)
	unblock()
	n.working.Wait()
	n.asBefore(t, before)
	// It is still registered, and the next pod gets its devices.
	if err := r.run(t, pod); err != nil {
		t.Error(err)
	}
	r.stop(t, pod)
	n.asBefore(t, before)
}

// Told to end in the middle of a request, the plugin answers it first.
func TestAnswersBeforeItEnds(t *testing.T) {
	n := newNode(t, allowAll)
	socket := filepath.Join(t.TempDir(), "nri.sock")
	r := startRuntime(t, socket)
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx, Registration{Socket: socket, Name: "nri-netdev", Index: "10"}) }()
	r.await(t)
	pod := n.pod("a", "- {name: eth1, newName: net1}")
	unblock := n.Block()
	answer := make(chan error, 1)
	go func() { answer <- r.run(t, pod) }()
	plugintest.Eventually(t, "request in flight", func() bool {
		if idle := n.hooks.TryLock(); !idle {
			return true
		}
		n.hooks.Unlock()
		return false
	})
	end()
	plugintest.Eventually(t, "end that waits for the answer", func() bool {
		if waits := !n.hooks.TryRLock(); waits {
			return true
		}
		n.hooks.RUnlock()
		return false
	})
	unblock()
	if err := <-answer; err != nil {
		t.Errorf("the runtime is told %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !n.hasDevices(pod) {
		t.Error("the pod lacks its devices")
	}
}

// A node config that the runtime hands over counts, the file's does not.
func TestConfigFromTheRuntime(t *testing.T) {
	n := newNode(t, allowAll)
	newConnection := func() *connection {
		return &connection{Plugin: n.Plugin, policy: &api.FailurePolicy{}, configured: make(chan struct{}), stub: fakeStub{}}
	}
	s := newConnection()
	if _, err := s.Configure(t.Context(), "kind: Nonsense", "test", "v1"); err != nil {
		t.Errorf("with a bad config nothing would come home: %v", err)
	}
	if err := n.RunPodSandbox(t.Context(), n.pod("bad", "- name: eth1")); err == nil || !strings.Contains(err.Error(), "config is not valid") {
		t.Errorf("a bad config refuses with %v", err)
	}
	if got := n.metric(t, `nri_netdev_config_reloads_total{result="invalid"}`); got != "1" {
		t.Errorf("counted %q times", got)
	}
	s = newConnection()
	if _, err := s.Configure(t.Context(), strings.Replace(allowAll, "default", "other", 1), "test", "v1"); err != nil {
		t.Fatal(err)
	}
	if n.SetConfig(n.sandboxes.Config()) {
		t.Error("the file replaced the runtime's config")
	}
	if err := n.RunPodSandbox(t.Context(), n.pod("a", "- name: eth1")); err == nil {
		t.Error("the runtime's config does not count")
	}
}
