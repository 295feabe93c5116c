package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

const (
	// configureWithin bounds the time from the connection to the runtime's
	// Configure request; its own limit for a registration is 5 s.
	configureWithin = 10 * time.Second

	// endsWithin is how long the stub has to notice that its connection is lost.
	endsWithin = 500 * time.Millisecond

	// acceptedAfter is how long after the answer to Synchronize the connection has to
	// stand until the plugin counts as registered: a runtime that has given up waiting for
	// the answer closes it, and says so by nothing else.
	acceptedAfter = 200 * time.Millisecond
)

// connection is one to the runtime, and the plugin behind it.
type connection struct {
	*Plugin
	socket  *socket
	stub    stub.Stub
	policy  *api.FailurePolicy // the stub reads it after Configure
	runtime control.Runtime

	configured chan struct{}
	synced     atomic.Bool // Synchronize was answered, and the runtime has kept the connection
}

// connect serves one connection to the runtime, until it is lost.
func (p *Plugin) connect(ctx context.Context, r Registration) error {
	c, err := p.dial(ctx, r)
	if err != nil {
		return err
	}
	return c.serve(ctx)
}

// serve runs the stub until the connection is lost, and says why it is.
func (c *connection) serve(ctx context.Context) (err error) {
	defer c.socket.lose()
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		c.answerLast()
		cancel()
	})()
	ended := make(chan error, 1)
	go func() { ended <- c.stub.Run(serving) }()
	select {
	case err := <-ended:
		return lost(err)
	case <-c.configured:
		return lost(<-ended)
	case <-c.socket.lost:
		err = errors.New("the runtime closed the connection before it configured the plugin")
	case <-time.After(configureWithin):
		err = fmt.Errorf("the runtime did not configure the plugin within %v", configureWithin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	c.socket.lose()
	return errors.Join(err, c.awaitEnd(err, ended))
}

// awaitEnd waits for the stub, whose connection is lost. Most often that ends it.
func (c *connection) awaitEnd(why error, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-time.After(endsWithin):
	}
	go c.unblock(why)
	select {
	case err := <-ended:
		return err
	case <-time.After(configureWithin):
		return errors.New("the NRI library does not end its wait for the runtime")
	}
}

// unblock ends the wait of the stub for a Configure request that does not come any more. The
// stub has no other end for it (Start of the NRI library's stub, v0.12.5).
func (c *connection) unblock(why error) {
	if s, ok := c.stub.(interface {
		Configure(context.Context, *api.ConfigureRequest) (*api.ConfigureResponse, error)
	}); ok {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(why)
		_, _ = s.Configure(ctx, &api.ConfigureRequest{}) // the error is the one that we give
	}
}

func lost(err error) error {
	if err == nil {
		return errors.New("connection closed")
	}
	return err
}

// dial connects to the runtime, or takes the connection that the runtime made.
func (p *Plugin) dial(ctx context.Context, r Registration) (*connection, error) {
	conn, err := r.conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &connection{Plugin: p, socket: newSocket(conn), policy: &api.FailurePolicy{}, configured: make(chan struct{})}
	opts := []stub.Option{
		stub.WithLogger(stubLogger{p.log}),
		stub.WithConnection(c.socket),
		// The stub ends the process when the connection is lost, unless told
		// what to do.
		stub.WithOnClose(func() {}),
		stub.WithFailurePolicy(c.policy),
	}
	if !Launched() { // else the environment has name and index
		opts = append(opts, stub.WithPluginName(r.Name), stub.WithPluginIdx(r.Index))
	}
	err = p.seePeer(conn)
	if err == nil {
		c.stub, err = stub.New(c, opts...)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

// conn is the connection to the runtime.
func (r Registration) conn(ctx context.Context) (net.Conn, error) {
	if !Launched() {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.Socket)
	}
	fd, err := strconv.Atoi(os.Getenv(api.PluginSocketEnvVar))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", api.PluginSocketEnvVar, err)
	}
	file := os.NewFile(uintptr(fd), "nri")
	conn, err := net.FileConn(file) // with a descriptor of its own
	return conn, errors.Join(err, file.Close())
}

// seePeer finds out whether the process at the other end is visible (SO_PEERCRED, unix(7)).
func (p *Plugin) seePeer(conn net.Conn) error {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("the connection to the runtime is a %T, not a Unix socket", conn)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var peer *syscall.Ucred
	var perr error
	err = raw.Control(func(fd uintptr) {
		peer, perr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err := errors.Join(err, perr); err != nil {
		return fmt.Errorf("SO_PEERCRED: %w", err)
	}
	p.sandboxes.SeeRuntime(peer.Pid)
	return nil
}

// Configure takes the node config that a runtime hands to plugins it launches itself; an
// external plugin gets "". With one that is not valid nothing is allowed, and what is away
// comes home nevertheless. The events are those of the hooks.
func (c *connection) Configure(ctx context.Context, text, runtime, version string) (api.EventMask, error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	if text != "" {
		c.handOver(text)
	}
	c.setPolicy()
	timeout := c.stub.RequestTimeout()
	c.timeout.Store(int64(timeout))
	c.runtime = control.Runtime{Name: runtime, Version: version, NRI: c.stub.RuntimeNRIVersion(), RequestTimeout: timeout.String()}
	c.log.Info("configured by the runtime", "runtime", runtime, "version", version, "nri", c.runtime.NRI, "requestTimeout", timeout)
	close(c.configured)
	return 0, nil
}

// handOver puts the runtime's node config in the place of the file's.
func (c *connection) handOver(text string) {
	nodeConfig, err := config.Parse([]byte(text))
	if err != nil {
		c.log.Error("the node config that the runtime handed over is not valid: nothing is allowed", "err", err)
		nodeConfig = config.Invalid(err)
		c.metrics.reloaded(invalid)
	}
	c.handedOver.Store(true)
	c.sandboxes.SetConfig(nodeConfig)
}

// setPolicy registers the config's failure policy. A runtime that goes on with pods
// has to drop the plugin: only then does it tell, on the next connection, what
// runs without devices, and a late request is known as such.
func (c *connection) setPolicy() {
	policy := c.sandboxes.Config().FailurePolicy
	c.policy.FailRequest = policy.FailRequest
	c.policy.KeepConnected = policy.KeepConnected && policy.FailRequest
}

// Synchronize notes which pods exist. It answers at once; what follows from it, the sweep
// finds.
func (c *connection) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	c.sandboxes.List(c.listed(pods, containers))
	time.AfterFunc(acceptedAfter, func() {
		c.synced.Store(true)
		c.registered.Store(c)
		if c.accepted() {
			c.log.Info("registered", "runtime", c.runtime.Name, "version", c.runtime.Version)
		}
	})
	return nil, nil
}

// listed are the sandboxes that a runtime lists, and those of them that may ask for devices.
func (p *Plugin) listed(pods []*api.PodSandbox, containers []*api.Container) (has map[string]bool, asking []sandbox.Listed) {
	has = make(map[string]bool, len(pods))
	populated := make(map[string]bool, len(containers))
	for _, c := range containers {
		populated[c.GetPodSandboxId()] = true
	}
	for _, pod := range pods {
		has[pod.GetId()] = true
		if p.asks(pod) {
			asking = append(asking, sandbox.Listed{
				Sandbox: sandboxOf(pod), Annotations: pod.GetAnnotations(), Populated: populated[pod.GetId()],
			})
		}
	}
	return has, asking
}

// accepted reports whether the runtime sends its requests by this connection. That of nil
// is none.
func (c *connection) accepted() bool { return c != nil && c.synced.Load() && c.socket.stands() }

// socket is a connection that tells when it is lost.
type socket struct {
	net.Conn
	once sync.Once
	lost chan struct{}
}

func newSocket(conn net.Conn) *socket { return &socket{Conn: conn, lost: make(chan struct{})} }

// Read reads. Its errors are the end of the connection.
func (s *socket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err != nil {
		s.lose()
	}
	return n, err
}

// lose closes the connection.
func (s *socket) lose() {
	s.once.Do(func() {
		close(s.lost)
		_ = s.Conn.Close() // nobody uses it any more
	})
}

// stands reports whether the connection is not lost yet.
func (s *socket) stands() bool {
	select {
	case <-s.lost:
		return false
	default:
		return true
	}
}
