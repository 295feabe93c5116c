package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

func moveCommand(c *common) *cobra.Command {
	m := sandbox.Move{}
	cmd := operatorCommand(c, &cobra.Command{
		Use:   "move DEVICE --netns PATH",
		Short: "move a device into a network namespace by hand",
		Long: `move moves a host device into a network namespace, with the same checks and the
same record as for a pod, except that the allow rules do not apply. The device
stays there until it is returned by hand ("nri-netdev return DEVICE"). While the
node config is not valid, nobody knows what it protects, and --force is needed.`,
		Args: cobra.ExactArgs(1),
	}, func(ctx context.Context, o *operator, args []string, out io.Writer) error {
		m.Device = args[0]
		return o.move(ctx, m, out)
	})
	flags := cmd.Flags()
	flags.StringVar(&m.Netns, "netns", "", "network namespace, such as /run/netns/NAME or /proc/PID/ns/net")
	flags.StringVar(&m.Name, "name", "", "name in the namespace (default: the host name)")
	flags.BoolVar(&m.Force, "force", false, "move even a device that never moves for a pod, such as the node's uplink, or that would lose state")
	if err := cmd.MarkFlagRequired("netns"); err != nil {
		panic(err) // there is such a flag
	}
	return cmd
}

func (o *operator) move(ctx context.Context, m sandbox.Move, out io.Writer) error {
	// Opened here, since the path may mean something else to the plugin.
	netns, err := os.Open(m.Netns)
	if err != nil {
		return fmt.Errorf("--netns: %w", err)
	}
	defer netns.Close()
	if m.Netns, err = filepath.Abs(m.Netns); err != nil {
		return err
	}
	var moved string
	err = o.do(ctx,
		func(c *control.Client) (err error) {
			moved, err = c.Move(ctx, m, netns)
			return err
		},
		func(t *sandbox.Table) (err error) {
			moved, err = t.Move(ctx, m, fmt.Sprintf("/proc/self/fd/%d", netns.Fd()))
			return err
		})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, in %s\n", moved, m.Netns)
	return nil
}
