package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
	"github.com/nri-netdev/nri-netdev/plugin/state"
)

func statusCommand(c *common) *cobra.Command {
	as, watch := output(""), false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show which devices are away, and which are not as they were",
		Long: `status shows the devices that pods have or that were moved by hand, the devices
whose return is not complete, and the pods that run without the devices that they
ask for. If no plugin runs, it reads the journal, and leaves out what only a
running plugin knows.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return c.watchStatus(cmd.Context(), cmd.OutOrStdout(), &as)
			}
			s, err := c.status(cmd.Context(), cmd.ErrOrStderr())
			if err != nil && len(s.Attachments) == 0 {
				return err
			}
			return errors.Join(printStatus(cmd.OutOrStdout(), s, &as), err)
		},
	}
	as.flag(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "print it again whenever it changes, until interrupted")
	return cmd
}

// watchStatus prints the status, and again whenever it changes.
func (c *common) watchStatus(ctx context.Context, out io.Writer, as *output) error {
	const every = time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for last := ""; ; {
		s, err := c.status(ctx, io.Discard)
		if err != nil && ctx.Err() == nil {
			return err
		}
		var text strings.Builder
		if err := printStatus(&text, s, as); err != nil {
			return err
		}
		if text.String() != last && ctx.Err() == nil {
			last = text.String()
			if _, err := io.WriteString(out, last); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// status asks the running plugin, or reads the journal.
func (c *common) status(ctx context.Context, stderr io.Writer) (control.Status, error) {
	s, running, err := c.ask(ctx)
	if !running {
		fmt.Fprintln(stderr, "nri-netdev: the plugin does not run; this is what its journal says")
	}
	return s, err
}

// ask returns the status, and reports whether a plugin runs.
func (c *common) ask(ctx context.Context) (s control.Status, running bool, err error) {
	s, err = control.NewClient(c.stateDir).Status(ctx)
	if !control.NotRunning(err) {
		return s, true, err
	}
	records, err := state.ReadJournal(c.stateDir)
	return control.Status{Status: sandbox.StatusOf(records)}, false, err
}

func printStatus(out io.Writer, s control.Status, as *output) error {
	return as.print(out, s, func(out io.Writer) error { return printTable(out, s) })
}

func printTable(out io.Writer, s control.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Attachments) == 0 {
		fmt.Fprintln(w, "no device is away")
	} else {
		fmt.Fprintln(w, "POD\tSANDBOX\tDEVICE\tIN POD\tSINCE\tSTATE")
	}
	for _, a := range s.Attachments {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(a.Pod, a.Netns), short(a.Sandbox), a.Device, a.PodName,
			a.Since.Local().Format(time.DateTime), a.State)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, a := range s.Attachments {
		if a.Problem != "" {
			fmt.Fprintf(out, "%s: %s\n", a.Device, a.Problem)
		}
	}
	for _, a := range s.Attachments {
		for _, d := range a.Differences {
			fmt.Fprintf(out, "%s: not as meant in the pod: %s\n", a.Device, d)
		}
	}
	for _, a := range s.Altered {
		for _, d := range a.Differences {
			fmt.Fprintf(out, "%s: not as it was before %s: %s\n", a.Device, a.Pod, d)
		}
	}
	for _, m := range s.Missed {
		fmt.Fprintf(out, "missed: pod %s (%s) runs without the devices that it asks for: delete it\n", m.Pod, short(m.Sandbox))
	}
	return nil
}

// short cuts a sandbox id as crictl(1) does.
func short(sandbox string) string {
	const enough = 13
	if len(sandbox) == 64 {
		return sandbox[:enough]
	}
	return sandbox
}
