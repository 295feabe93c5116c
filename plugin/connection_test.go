package plugin

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/plugin/control"
)

// fakeStub is a stub that was told a time-out, and runs as a test says.
type fakeStub struct {
	stub.Stub
	run func(context.Context) error
}

func (fakeStub) RequestTimeout() time.Duration       { return time.Second }
func (fakeStub) RuntimeNRIVersion() string           { return "v0.12.5" }
func (f fakeStub) Run(serving context.Context) error { return f.run(serving) }

// unblockable is a stub that takes Configure requests, as the library's does.
type unblockable struct {
	fakeStub
	requests chan error // why the context of each has ended
}

// Configure takes a request.
func (u unblockable) Configure(ctx context.Context, _ *api.ConfigureRequest) (*api.ConfigureResponse, error) {
	u.requests <- context.Cause(ctx)
	return &api.ConfigureResponse{}, nil
}

// However a connection goes, it ends, and says why; nothing of it is left then. The clock is
// the test's.
func TestServe(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name string
		run  func(serving context.Context, c *connection, runtime net.Conn) error
		// toldAfter is when the plugin is told to end; 0 is never.
		toldAfter time.Duration
		stuck     bool // the stub takes no Configure requests
		want      string
		after     time.Duration
	}{
		{name: "it ends with an error", want: "broken", run: func(context.Context, *connection, net.Conn) error {
			return broken
		}},
		{name: "it ends without", want: "connection closed", run: func(context.Context, *connection, net.Conn) error {
			return nil
		}},
		{name: "it is configured, and ends late", want: "broken", after: time.Hour, run: func(_ context.Context, c *connection, _ net.Conn) error {
			close(c.configured)
			time.Sleep(time.Hour)
			return broken
		}},
		{
			name: "the runtime closes it before it configures",
			want: "the runtime closed the connection before it configured the plugin; broken", after: endsWithin / 2,
			run: func(_ context.Context, c *connection, runtime net.Conn) error {
				runtime.Close()
				_, _ = c.socket.Read(make([]byte, 1))
				time.Sleep(endsWithin / 2)
				return broken
			},
		},
		{
			name: "the runtime does not configure", want: "the runtime did not configure the plugin within 10s; io: read/write on closed pipe",
			after: configureWithin, run: func(_ context.Context, c *connection, _ net.Conn) error {
				_, err := c.socket.Read(make([]byte, 1))
				return err
			},
		},
		{
			name:  "the library waits on",
			want:  "the runtime did not configure the plugin within 10s; unblocked: the runtime did not configure the plugin within 10s",
			after: configureWithin + endsWithin, run: func(_ context.Context, c *connection, _ net.Conn) error {
				return errors.New("unblocked: " + (<-c.stub.(unblockable).requests).Error())
			},
		},
		{
			name: "the library waits for good", stuck: true,
			want:  "the runtime did not configure the plugin within 10s; the NRI library does not end its wait for the runtime",
			after: configureWithin + endsWithin + configureWithin, run: func(serving context.Context, _ *connection, _ net.Conn) error {
				<-serving.Done()
				return nil
			},
		},
		{
			name: "the plugin is told to end", toldAfter: time.Second, want: "context canceled; broken",
			after: time.Second + lastAnswer, run: func(serving context.Context, _ *connection, _ net.Conn) error {
				<-serving.Done()
				return broken
			},
		},
		{
			name: "the plugin is told to end while it serves", toldAfter: time.Hour, want: "broken",
			after: time.Hour + lastAnswer, run: func(serving context.Context, c *connection, _ net.Conn) error {
				close(c.configured)
				<-serving.Done()
				return broken
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, runtime := net.Pipe()
				defer runtime.Close()
				c := &connection{Plugin: &Plugin{}, socket: newSocket(near), configured: make(chan struct{})}
				var served func() error
				fake := fakeStub{run: func(serving context.Context) error {
					served = serving.Err
					return tc.run(serving, c, runtime)
				}}
				c.stub = unblockable{fake, make(chan error, 1)}
				if tc.stuck {
					c.stub = fake
				}
				ctx, tell := context.WithCancel(t.Context())
				defer tell()
				if tc.toldAfter > 0 {
					time.AfterFunc(tc.toldAfter, tell)
				}
				began := time.Now()
				err := c.serve(ctx)
				if got := oneLine(err).Error(); got != tc.want {
					t.Errorf("error is %q, want %q", got, tc.want)
				}
				if took := time.Since(began); took != tc.after {
					t.Errorf("ended after %v, want %v", took, tc.after)
				}
				if c.socket.stands() || served() == nil {
					t.Error("the connection stands, or the stub is not told to end")
				}
			})
		})
	}
}

// socketPair is a connection whose other end is a descriptor, as a runtime hands it over.
func socketPair(t *testing.T) (runtime net.Conn, fd int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "runtime")
	defer file.Close()
	runtime, err = net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.Close() })
	return runtime, fds[1]
}

// name is what the runtime knows the plugin by.
func (c *connection) name() string { return c.stub.(interface{ Name() string }).Name() }

// A plugin has its name from the command line, or from the runtime that has launched it.
func TestDial(t *testing.T) {
	n := newNode(t, allowAll)
	socket := filepath.Join(t.TempDir(), "nri.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := Registration{Socket: socket, Name: "nri-netdev", Index: "10"}
	c, err := n.dial(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer c.socket.lose()
	if got := c.name(); got != "10-nri-netdev" {
		t.Errorf("registers as %q", got)
	}
	_, fd := socketPair(t)
	t.Setenv(api.PluginSocketEnvVar, strconv.Itoa(fd))
	t.Setenv(api.PluginNameEnvVar, "other")
	t.Setenv(api.PluginIdxEnvVar, "07")
	launched, err := n.dial(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer launched.socket.lose()
	if got := launched.name(); got != "07-other" {
		t.Errorf("registers as %q", got)
	}
}

// A connection that cannot be used is refused, and nothing of it stays open.
func TestDialRefuses(t *testing.T) {
	n := newNode(t, allowAll)
	t.Setenv(api.PluginNameEnvVar, "other")
	t.Setenv(api.PluginIdxEnvVar, "07")
	dial := func(fd int) error {
		t.Setenv(api.PluginSocketEnvVar, strconv.Itoa(fd))
		_, err := n.dial(t.Context(), Registration{})
		return err
	}
	null, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := dial(null); !errors.Is(err, syscall.ENOTSOCK) {
		t.Errorf("no socket: %v", err)
	}
	udp, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := dial(udp); err == nil || !strings.Contains(err.Error(), "is a *net.UDPConn, not a Unix socket") {
		t.Errorf("no Unix socket: %v", err)
	}
	runtime, fd := socketPair(t)
	t.Setenv(api.PluginNameEnvVar, "")
	t.Setenv(api.PluginIdxEnvVar, "")
	if err := dial(fd); err == nil || !strings.Contains(err.Error(), filepath.Base(os.Args[0])) {
		t.Errorf("no name: %v", err)
	}
	if err := runtime.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := runtime.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection stays open: %v", err)
	}
}

// A runtime is seen by its socket, and with it the ends of its pods. A connection that is no
// socket is refused.
func TestSeePeer(t *testing.T) {
	n := newNode(t, allowAll)
	ended, again := n.pod("a", "- name: eth1"), n.pod("b", "- name: eth1")
	again.Uid = ended.Uid
	if err := n.RunPodSandbox(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	n.leave(t, ended)
	if n.RunPodSandbox(t.Context(), again) == nil {
		t.Error("an end is seen before the runtime is")
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := n.seePeer(near); err == nil || !strings.Contains(err.Error(), "not a Unix socket") {
		t.Errorf("error is %v", err)
	}
	if err := n.seePeer(&net.UnixConn{}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("an empty connection: %v", err)
	}
	socket := filepath.Join(t.TempDir(), "a.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.seePeer(conn); err != nil {
		t.Error(err)
	}
	if err := n.RunPodSandbox(t.Context(), again); err != nil {
		t.Errorf("the end of the earlier sandbox is not seen: %v", err)
	}
	conn.Close()
	if err := n.seePeer(conn); !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed connection: %v", err)
	}
}

// A connection counts as registered while it stands, and after the runtime has kept it.
func TestAccepted(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &connection{socket: newSocket(near)}
	if (*connection)(nil).accepted() || c.accepted() {
		t.Error("accepted before the runtime has kept it")
	}
	c.synced.Store(true)
	if !c.accepted() {
		t.Error("not accepted")
	}
	far.Close()
	if _, err := c.socket.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection that is closed")
	}
	if c.accepted() {
		t.Error("accepted, and the connection is lost")
	}
	c.socket.lose()
}

// Sandboxes of a list that may ask for devices are told apart, with those that have a container.
func TestListed(t *testing.T) {
	n := newNode(t, allowAll)
	a, b, other := n.pod("a", "- name: eth1"), n.pod("b", "- name: eth1"), n.pod("c", "")
	other.Annotations = nil
	has, asking := n.listed([]*api.PodSandbox{a, b, other}, []*api.Container{{PodSandboxId: b.Id}, {PodSandboxId: other.Id}})
	if len(has) != 3 || !has[a.Id] || !has[b.Id] || !has[other.Id] {
		t.Errorf("has %v", has)
	}
	if len(asking) != 2 || asking[0].Populated || !asking[1].Populated || asking[1].ID != b.Id || asking[1].NetnsPath != "pod-b" {
		t.Errorf("asking %+v", asking)
	}
}

// A runtime that would go on without the plugin has to drop it.
func TestFailurePolicy(t *testing.T) {
	for text, want := range map[string][2]bool{
		"": {true, false},
		"failurePolicy: {failRequest: true, keepConnected: true}\n":  {true, true},
		"failurePolicy: {failRequest: false, keepConnected: true}\n": {false, false},
		"failurePolicy: {failRequest: true}\n":                       {true, false},
	} {
		n := newNode(t, allowAll+text)
		c := &connection{Plugin: n.Plugin, policy: &api.FailurePolicy{}}
		c.setPolicy()
		if got := [2]bool{c.policy.FailRequest, c.policy.KeepConnected}; got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// What the runtime tells at the begin counts; a request that comes after the end changes nothing.
func TestConfigure(t *testing.T) {
	n := newNode(t, allowAll+"failurePolicy: {failRequest: true, keepConnected: true}\n")
	c := &connection{Plugin: n.Plugin, policy: &api.FailurePolicy{}, configured: make(chan struct{}), stub: fakeStub{}}
	ctx, end := context.WithCancelCause(t.Context())
	why := errors.New("why")
	end(why)
	if _, err := c.Configure(ctx, "", "test", "v1"); !errors.Is(err, why) || n.requestTimeout() != 0 {
		t.Errorf("error is %v, time-out %v", err, n.requestTimeout())
	}
	if _, err := c.Configure(t.Context(), "", "test", "v1"); err != nil {
		t.Error(err)
	}
	select {
	case <-c.configured:
	default:
		t.Error("not configured")
	}
	want := control.Runtime{Name: "test", Version: "v1", NRI: "v0.12.5", RequestTimeout: "1s"}
	if c.runtime != want || n.requestTimeout() != time.Second {
		t.Errorf("runtime %+v, time-out %v", c.runtime, n.requestTimeout())
	}
	if !c.policy.FailRequest || !c.policy.KeepConnected {
		t.Errorf("policy %v", c.policy)
	}
	if !n.SetConfig(n.sandboxes.Config()) {
		t.Error("the file does not count, and the runtime has handed nothing over")
	}
}

// The runtime's list is noted. The plugin is registered when the runtime has kept the connection
// for a while after it.
func TestSynchronize(t *testing.T) {
	for kept, want := range map[bool]int{true: 1, false: 0} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, allowAll)
			log := n.recordLog()
			near, runtime := net.Pipe()
			defer runtime.Close()
			c := &connection{Plugin: n.Plugin, socket: newSocket(near)}
			defer c.socket.lose()
			pod := n.pod("a", "- name: eth1")
			if _, err := c.Synchronize(t.Context(), []*api.PodSandbox{pod}, []*api.Container{{PodSandboxId: pod.Id}}); err != nil {
				t.Error(err)
			}
			if !kept {
				c.socket.lose()
			}
			if n.Registered() {
				t.Error("registered at once")
			}
			time.Sleep(acceptedAfter)
			synctest.Wait()
			if n.Registered() != kept {
				t.Errorf("registered: %v, want %v", !kept, kept)
			}
			log.Told(t, want, "INFO registered")
			n.sandboxes.Recover()
			if got := n.Status().Missed; len(got) != 1 {
				t.Errorf("missed: %+v", got)
			}
		})
	}
}

// Connections that do not last are tried for ever more seldom, and at last about once a second;
// their end is told when it has another reason. After one that has lasted all begins anew. The
// clock is the test's.
func TestReconnects(t *testing.T) {
	absent, cut := errors.New("absent"), errors.New("cut")
	connections := []struct {
		lasts time.Duration
		err   error
		pause time.Duration // the longest after it
		told  bool
	}{
		{0, absent, 50 * time.Millisecond, true},
		{0, absent, 100 * time.Millisecond, false},
		{0, cut, 200 * time.Millisecond, true},
		{lastRetry, cut, 400 * time.Millisecond, false},
		{lastRetry + 1, cut, 50 * time.Millisecond, true},
		{0, cut, 100 * time.Millisecond, false},
		{0, absent, 200 * time.Millisecond, true},
		{0, absent, 400 * time.Millisecond, false},
		{0, absent, 800 * time.Millisecond, false},
		{0, absent, time.Second, false},
		{0, absent, time.Second, false},
		{0, nil, 0, false},
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, allowAll)
		log := n.recordLog()
		ctx, cancel := context.WithCancel(t.Context())
		next, told := 0, 0
		check := func() { log.Told(t, told, "WARN no connection to the runtime, trying again socket=nri.sock err=") }
		var ended time.Time
		connect := func() error {
			if next > 0 {
				before := connections[next-1]
				if pause := time.Since(ended); pause < before.pause/2 || pause >= before.pause {
					t.Errorf("pause %d is %v, want one between %v and %v", next, pause, before.pause/2, before.pause)
				}
				if before.told {
					told++
				}
				check()
			}
			c := connections[next]
			if next++; next == len(connections) {
				cancel()
			}
			time.Sleep(c.lasts)
			ended = time.Now()
			return c.err
		}
		if err := n.reconnect(ctx, "nri.sock", connect); err != nil {
			t.Error(err)
		}
		check()
	})
}

// The end waits for the work behind hooks, and not for good. The clock is the test's.
func TestFinish(t *testing.T) {
	told, cancel := context.WithCancel(t.Context())
	cancel()
	for took, want := range map[time.Duration]int{finishWithin - 1: 0, time.Hour: 1} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, allowAll)
			log := n.recordLog()
			n.working.Go(func() { time.Sleep(took) })
			began := time.Now()
			if err := n.Serve(told, Registration{Socket: "nowhere"}); err != nil {
				t.Error(err)
			}
			if got := time.Since(began); got != min(took, finishWithin) {
				t.Errorf("waited %v for work of %v", got, took)
			}
			log.Told(t, want, "WARN work in progress is left to the next start")
			n.working.Wait()
		})
	}
}

// A process that the runtime has launched ends with its connection, and says why, unless it is
// told to end.
func TestLaunchedEndsWithTheConnection(t *testing.T) {
	n := newNode(t, allowAll)
	t.Setenv(api.PluginSocketEnvVar, "not a number")
	if err := n.Serve(t.Context(), Registration{}); err == nil || !strings.Contains(err.Error(), api.PluginSocketEnvVar+": ") {
		t.Errorf("error is %v", err)
	}
	told, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Serve(told, Registration{}); err != nil {
		t.Errorf("told to end: %v", err)
	}
	runtime, fd := socketPair(t)
	runtime.Close()
	t.Setenv(api.PluginSocketEnvVar, strconv.Itoa(fd))
	t.Setenv(api.PluginNameEnvVar, "other")
	t.Setenv(api.PluginIdxEnvVar, "07")
	if err := n.Serve(t.Context(), Registration{}); err == nil {
		t.Error("the runtime has closed the connection, and that is no error")
	}
}
