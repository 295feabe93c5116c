package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/plugin"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/program"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

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
	flags.StringVar(&o.hostNetns, "host-netns", "", `network namespace to take devices from: a path, or "self"; needed only if it is not pid 1's`)
	return cmd
}

// run runs the plugin until ctx ends. It leaves the state folder locked: work may go on
// until the process is gone.
func (o *runOptions) run(ctx context.Context, logs io.Writer) (err error) {
	log, err := program.NewLogger(logs, o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	c := loadConfig(log, o.config)
	k := linux(log)
	host, err := openHost(k, o.hostNetns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	folder, err := state.Lock(ctx, log, o.stateDir)
	if ctx.Err() != nil {
		return nil // told to end while it waited
	}
	if err != nil {
		return err
	}
	j, err := openJournal(log, folder)
	if err != nil {
		return err
	}
	p := plugin.New(k, &netmove.Mover{Now: k.Now, Host: host, Log: log}, j, sandbox.Folders{State: folder.Path(), CDI: o.cdiDir}, c.inForce(), log)
	log.Info("started", "version", program.Version(), "config", o.config, "state", o.stateDir)
	return o.serve(ctx, log, p, c, folder)
}

// serve handles the runtime's events, sweeps, reloads the config, and answers operators
// and probes, until ctx ends.
func (o *runOptions) serve(ctx context.Context, log *slog.Logger, p *plugin.Plugin, c *nodeConfig, folder *state.Folder) error {
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
		c.watch(ctx, p)
		return nil
	})
	g.Go(func() error { return control.Serve(ctx, log, folder, p) })
	if o.listen != "" {
		g.Go(func() error {
			serveProbes(ctx, log, o.listen, p.Handler())
			return nil
		})
	}
	return g.Wait()
}
