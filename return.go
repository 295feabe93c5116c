package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

func returnCommand(c *common) *cobra.Command {
	s := sandbox.Selection{}
	cmd := operatorCommand(c, &cobra.Command{
		Use:   "return [DEVICE ... | --sandbox ID | --all]",
		Short: "return devices to the host by hand",
		Long: `return brings devices back to the host as they were, by their host names: devices
that were moved by hand, devices of pods, even while the pods run, and quarantined
devices, once what was on them is removed. A lost device is looked for once more;
if it is virtual and cannot be found, it is forgotten. A name that means two
devices is refused: choose with --sandbox.`,
	}, func(ctx context.Context, o *operator, args []string, out io.Writer) error {
		s.Devices = args
		return o.returnDevices(ctx, s, out)
	})
	flags := cmd.Flags()
	flags.StringVar(&s.Sandbox, "sandbox", "", "all devices of one sandbox")
	flags.BoolVar(&s.All, "all", false, "every device that is away")
	cmd.MarkFlagsMutuallyExclusive("sandbox", "all")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if chosen := len(args) > 0; chosen == (s.Sandbox != "" || s.All) {
			return errors.New("name devices, or a sandbox with --sandbox, or say --all")
		}
		return nil
	}
	return cmd
}

func (o *operator) returnDevices(ctx context.Context, s sandbox.Selection, out io.Writer) error {
	var result sandbox.Returned
	err := o.do(ctx,
		func(c *control.Client) (err error) {
			result, err = c.Return(ctx, s)
			return err
		},
		func(t *sandbox.Table) (err error) {
			result, err = t.ReturnByHand(s)
			return err
		})
	if err != nil {
		return err
	}
	for _, device := range result.Devices {
		fmt.Fprintf(out, "%s is home\n", device)
	}
	if len(result.Problems) > 0 {
		return errors.New(strings.Join(result.Problems, "\n"))
	}
	return nil
}
