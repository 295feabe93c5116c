package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/plugin"
)

// ownNetns is the network namespace of the process. It is that of the main
// thread, which never leaves it.
const ownNetns = "/proc/self/ns/net"

type runOptions struct {
	*common
	registration plugin.Registration
	listen       string
	hostNetns    string
}

func (o *runOptions) defaults() {
	o.registration = plugin.Registration{Socket: "/var/run/nri/nri.sock", Name: "nri-netdev", Index: "10"}
	o.listen = "127.0.0.1:9645"
}

func runCommand(o *runOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "run the plugin",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.ErrOrStderr()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.registration.Socket, "nri-socket", o.registration.Socket, "NRI socket of the runtime")
	flags.StringVar(&o.registration.Index, "index", o.registration.Index, "two digits: the place among the plugins of the runtime")
	flags.StringVar(&o.registration.Name, "name", o.registration.Name, "name to register with the runtime")
	flags.StringVar(&o.listen, "listen", o.listen, `address of /healthz, /readyz and /metrics; "" for none`)
	flags.StringVar(&o.hostNetns, "host-netns", "", `network namespace to take devices from: a path, or "self"; needed only where it is not that of pid 1`)
	return cmd
}

// run is the life of the plugin.
func (o *runOptions) run(ctx context.Context, logs io.Writer) (err error) {
	log, err := newLogger(logs, o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	c, err := loadConfig(log, o.config)
	if err != nil {
		return err
	}
	inForce := c
	if inForce == nil {
		inForce = config.Default()
	}
	k := linux(log)
	host, err := openHost(k, o.hostNetns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	lock, err := lockState(ctx, log, o.stateDir)
	if err != nil || lock == nil {
		return err
	}
	defer lock.unlock()
	j, err := openJournal(log, o.stateDir)
	if err != nil {
		return err
	}
	mover := &netmove.Mover{Kernel: k, Host: host, Log: log}
	p := plugin.New(mover, j, o.stateDir, inForce, log)
	log.Info("started", "version", version(), "config", o.config, "state", o.stateDir)
	return o.serve(ctx, log, p, c, lock)
}

// kernelPatience is how long a request to the kernel may take.
const kernelPatience = 10 * time.Second

// linux is the running kernel. A request that does not end is the end of the
// process: it blocks the node, and a fresh process can recover.
func linux(log *slog.Logger) kernel.Linux {
	return kernel.Linux{Patience: kernelPatience, Stuck: func(what string) {
		log.Error("the kernel does not answer: ending, so that a fresh process takes over", "request", what, "waited", kernelPatience)
		os.Exit(1)
	}}
}

// serve runs what goes on until ctx ends: the runtime's events, the sweep, the
// reload of the config and the probes.
func (o *runOptions) serve(ctx context.Context, log *slog.Logger, p *plugin.Plugin, c *config.NodeConfig, lock *stateLock) error {
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer cancel()
		return p.Serve(ctx, o.registration)
	})
	g.Go(func() error {
		p.Sandboxes().Sweep(ctx)
		return nil
	})
	g.Go(func() error {
		o.watchConfig(ctx, log, p, c)
		return nil
	})
	g.Go(func() error {
		return tendState(ctx, log, lock, p)
	})
	if o.listen != "" {
		g.Go(func() error {
			serveHTTP(ctx, log, o.listen, p.Handler())
			return nil
		})
	}
	return g.Wait()
}

// watchConfig reloads the node config when it changes.
func (o *runOptions) watchConfig(ctx context.Context, log *slog.Logger, p *plugin.Plugin, c *config.NodeConfig) {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	config.Watch(ctx, o.config, c, reload, func(c *config.NodeConfig, err error) {
		if err != nil {
			p.RefuseConfig()
			log.Error("node config not reloaded, the one before stays in force", "config", o.config, "err", err)
			return
		}
		if p.SetConfig(c) {
			log.Info("node config reloaded", "config", o.config)
		}
	})
}

// serveHTTP answers probes. Pods do not depend on it, so it is not an error
// when the address cannot be had.
func serveHTTP(ctx context.Context, log *slog.Logger, addr string, h http.Handler) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		log.Error("no probes", "err", err)
		return
	}
	// Descriptors are what opens pods' namespaces: no client may use them up.
	const connections, patience = 32, 5 * time.Second
	l = netutil.LimitListener(l, connections)
	serveUntil(ctx, log, l, &http.Server{Handler: h, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience})
}

// serveUntil serves until ctx ends.
func serveUntil(ctx context.Context, log *slog.Logger, l net.Listener, s *http.Server) {
	stop := context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil {
			log.Error("close connections", "addr", l.Addr(), "err", err)
		}
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		log.Error("no longer served", "addr", l.Addr(), "err", err)
	}
}

// loadConfig reads the node config, nil without a file: nothing is allowed then.
func loadConfig(log *slog.Logger, path string) (*config.NodeConfig, error) {
	c, err := config.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		log.Warn("no node config: no pod may have a device", "config", path)
		return nil, nil
	}
	if err != nil {
		return nil, withHint(fmt.Errorf("node config: %w", err), "try a config before you install it: nri-netdev check --config FILE")
	}
	return c, nil
}

// openHost opens the network namespace that devices come from. A plugin that
// was put into a pod without hostNetwork by mistake would otherwise take the
// pod for the node.
func openHost(k kernel.Linux, path string) (*kernel.Namespace, error) {
	if path == "" {
		same, err := sameFile(ownNetns, "/proc/1/ns/net")
		if err != nil {
			return nil, withHint(fmt.Errorf("compare the network namespace with that of pid 1: %w", err), "run as root in the host's pid namespace, or name the network namespace with --host-netns")
		}
		if !same {
			return nil, withHint(errors.New("this is not the network namespace of pid 1"),
				"in a pod, set hostNetwork and hostPID; if it is meant, say --host-netns self")
		}
		path = "self"
	}
	open := func() (*kernel.Namespace, error) { return k.Open(path) }
	if path == "self" {
		open = k.OpenOwn
	}
	host, err := open()
	if errors.Is(err, os.ErrPermission) {
		return nil, withHint(err, "root is needed (CAP_NET_ADMIN and CAP_SYS_ADMIN)")
	}
	if err != nil {
		return nil, err
	}
	return host, nil
}

func sameFile(a, b string) (bool, error) {
	sa, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	sb, err := os.Stat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(sa, sb), nil
}

// bootID tells one run of the kernel from another (proc_sys_kernel(5)).
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// openJournal opens the journal of this boot, and tells of files that are no
// records of it.
func openJournal(log *slog.Logger, state string) (*journal.Journal, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	j, problems, err := journal.Open(state, boot)
	for _, p := range problems {
		log.Error("a file of the journal was set aside", "err", p)
	}
	if errors.Is(err, journal.ErrVersion) {
		err = withHint(err, "run the newer program again, or have it return --all before you go back")
	}
	return j, err
}
