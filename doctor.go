package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/doctor"
)

type doctorOptions struct {
	*common
	as        output
	nriSocket string
}

func doctorCommand(c *common) *cobra.Command {
	o := &doctorOptions{common: c}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "look for what keeps the plugin from its work, and say what to do",
		Long: `doctor looks at kernel, privileges, NRI, time-outs, state folder, node config, uplink,
other plugins, what else manages the host's devices, and at devices that are not as they
should be. It changes nothing. The exit code is 1 if something does not work.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	o.as.flag(cmd)
	cmd.Flags().StringVar(&o.nriSocket, "nri-socket", "/var/run/nri/nri.sock", "NRI socket of the runtime")
	return cmd
}

// errUnwell ends a doctor whose findings have been printed.
var errUnwell = errors.New("something does not work")

func (o *doctorOptions) run(ctx context.Context, out io.Writer) error {
	root := "/"
	if same, err := sameFile("/proc/1/ns/mnt", "/proc/self/ns/mnt"); err == nil && !same {
		root = "/proc/1/root" // in a container in the host's pid namespace
	}
	s, running, err := o.ask(ctx)
	nodeConfig := o.nodeConfig(ctx, running)
	node := doctor.Node{Root: root, NRISocket: o.nriSocket, StateDir: o.stateDir, NRIPlugins: "/opt/nri/plugins"}
	if nodeConfig.File != nil {
		node.Protect = nodeConfig.File.Protect
	}
	f := doctor.CheckNode(node)
	f = append(f, doctor.CheckHostNetwork(inHostNetns())...)
	f = append(f, doctor.CheckNodeConfig(nodeConfig)...)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // nobody has started the plugin yet
	}
	f = append(f, doctor.CheckPlugin(doctor.Plugin{Running: running, Status: s, Err: err, Now: time.Now()})...)
	if err := o.as.print(out, f, f.Print); err != nil {
		return err
	}
	if f.Failed() {
		return errUnwell
	}
	return nil
}

// nodeConfig reads the node config, and asks the plugin if one runs.
func (o *doctorOptions) nodeConfig(ctx context.Context, running bool) doctor.NodeConfig {
	c := doctor.NodeConfig{Path: o.config, Running: running}
	c.File, c.Err = config.Load(o.config)
	if running {
		inForce, _ := control.NewClient(o.stateDir).Config(ctx) // the status finds a plugin that does not answer
		c.Problem = inForce.Problem
	}
	return c
}
