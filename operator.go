package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/program"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

// operator does by hand what the plugin does for pods: through the plugin if one
// runs, else as the one writer of the state folder.
type operator struct {
	*common
	hostNetns string
	log       *slog.Logger
}

// operatorCommand adds to cmd what all commands of an operator share.
func operatorCommand(c *common, cmd *cobra.Command, run func(ctx context.Context, o *operator, args []string, out io.Writer) error) *cobra.Command {
	o := &operator{common: c}
	cmd.Flags().StringVar(&o.hostNetns, "host-netns", "", `network namespace to take devices from if no plugin runs: a path, or "self"`)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.log, err = program.NewLogger(cmd.ErrOrStderr(), o.logLevel, o.logFormat); err != nil {
			return err
		}
		return run(cmd.Context(), o, args, cmd.OutOrStdout())
	}
	return cmd
}

// do calls remote if a plugin runs. Else it locks the state folder, until the process is
// gone, and calls local. It waits for a plugin that starts or ends meanwhile.
func (o *operator) do(ctx context.Context, remote func(*control.Client) error, local func(*sandbox.Table) error) error {
	const patience, pause = 5 * time.Second, 50 * time.Millisecond
	for began := time.Now(); ; {
		err := remote(control.NewClient(o.stateDir))
		if !control.NotRunning(err) {
			return err
		}
		folder, err := state.TryLock(o.stateDir)
		if err == nil {
			return o.alone(folder, local)
		}
		if !errors.Is(err, state.ErrLocked) || time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// alone calls work with a table of its own while no plugin runs.
func (o *operator) alone(folder *state.Folder, work func(*sandbox.Table) error) (err error) {
	k := linux(o.log)
	host, err := openHost(k, o.hostNetns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	j, err := openJournal(o.log, folder)
	if err != nil {
		return err
	}
	mover := &netmove.Mover{Now: k.Now, Host: host, Log: o.log}
	t := sandbox.New(k, mover, j, sandbox.Folders{State: folder.Path(), CDI: o.cdiDir}, loadConfig(o.log, o.config).inForce(), sandbox.Nobody{}, o.log)
	t.Recover() // what an earlier process left half done
	return work(t)
}
