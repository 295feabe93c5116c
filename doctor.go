package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin"
	"github.com/nri-netdev/nri-netdev/plugin/doctor"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
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
		Long: `doctor looks at kernel, privileges, NRI, time-outs, state folder, node config, other
plugins, what else manages the host's devices, and at devices that are not as they
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
		root = "/proc/1/root" // the host's, from a container with its processes
	}
	f := doctor.CheckNode(doctor.Node{Root: root, NRISocket: o.nriSocket, StateDir: o.stateDir, NRIPlugins: "/opt/nri/plugins"})
	f = append(f, o.hostNamespace(), o.nodeConfig())
	f = append(f, o.attachments(ctx)...)
	if err := o.as.print(out, f, f.Print); err != nil {
		return err
	}
	if f.Failed() {
		return errUnwell
	}
	return nil
}

func (o *doctorOptions) hostNamespace() doctor.Finding {
	const check = "host network"
	same, err := sameFile(ownNetns, "/proc/1/ns/net")
	switch {
	case err != nil:
		return doctor.Finding{Check: check, Level: doctor.Fail, Text: err.Error(), Advice: "run as root in the host's pid namespace: hostPID in a pod"}
	case !same:
		return doctor.Finding{
			Check: check, Level: doctor.Fail, Text: "this is not the network namespace of pid 1",
			Advice: "in a pod, set hostNetwork and hostPID",
		}
	}
	return doctor.Finding{Check: check, Level: doctor.OK, Text: "this is the network namespace of pid 1"}
}

func (o *doctorOptions) nodeConfig() doctor.Finding {
	const check = "node config"
	c, err := config.Load(o.config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doctor.Finding{Check: check, Level: doctor.Warn, Text: "there is no " + o.config, Advice: "write one: nothing is allowed without"}
	case err != nil:
		return doctor.Finding{Check: check, Level: doctor.Fail, Text: err.Error(), Advice: "correct it: a running plugin keeps the last valid one, and none starts with it"}
	case len(c.Allow) == 0:
		return doctor.Finding{Check: check, Level: doctor.Warn, Text: o.config + " allows nothing", Advice: "add allow rules; nri-netdev devices shows what they match"}
	}
	return doctor.Finding{Check: check, Level: doctor.OK, Text: fmt.Sprintf("%s is valid, allow rules: %d", o.config, len(c.Allow))}
}

// attachments looks at what the plugin, or its journal, says.
func (o *doctorOptions) attachments(ctx context.Context) (f doctor.Findings) {
	s, err := o.status(ctx, io.Discard)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = plugin.Status{}
	case err != nil:
		return doctor.Findings{{Check: "plugin", Level: doctor.Fail, Text: err.Error(), Advice: "run as root; look at what the plugin logs"}}
	}
	f = append(f, o.running(s))
	for _, a := range s.Attachments {
		switch a.State {
		case sandbox.StateAttached:
			continue
		case sandbox.StateAttaching, sandbox.StateReturning:
			if time.Since(a.Since) < time.Minute && a.Problem == "" {
				continue
			}
		}
		advice := map[sandbox.State]string{
			sandbox.StateMisnamed:    "free its name: it gets that within a second",
			sandbox.StateQuarantined: "look at it, then nri-netdev return " + a.Device,
			sandbox.StateLost:        "nri-netdev return " + a.Device + " ends the record, once you know",
		}[a.State]
		f = append(f, doctor.Finding{Check: "device " + a.Device, Level: doctor.Warn, Text: fmt.Sprintf("%s: %s", a.State, a.Problem), Advice: advice})
	}
	for _, a := range s.Altered {
		f = append(f, doctor.Finding{
			Check: "device " + a.Device, Level: doctor.Warn, Text: fmt.Sprintf("not as it was before %s: %d differences", a.Pod, len(a.Differences)),
			Advice: "nri-netdev status tells them",
		})
	}
	for _, m := range s.Missed {
		f = append(f, doctor.Finding{Check: "pod " + m.Pod, Level: doctor.Warn, Text: "runs without the devices that it asks for", Advice: "delete it"})
	}
	return f
}

// running says whether the plugin runs, is registered, and has time for its work.
func (o *doctorOptions) running(s plugin.Status) doctor.Finding {
	const check = "plugin"
	if s.Runtime == nil {
		if _, err := os.Stat(plugin.ControlSocket(o.stateDir)); err != nil {
			return doctor.Finding{Check: check, Level: doctor.Warn, Text: "it does not run", Advice: "start it: devices of pods that end come home when it does"}
		}
		return doctor.Finding{Check: check, Level: doctor.Fail, Text: "it is not registered with the runtime", Advice: "look at what it logs, and at the NRI socket"}
	}
	r := s.Runtime
	text := fmt.Sprintf("registered with %s %s, which waits %s for an answer", r.Name, r.Version, r.RequestTimeout)
	const enough = 2 * time.Second
	if wait, err := time.ParseDuration(r.RequestTimeout); err == nil && wait < enough {
		return doctor.Finding{
			Check: check, Level: doctor.Warn, Text: text,
			Advice: "raise plugin_request_timeout of the runtime's NRI to 2s or more: pods with many devices are refused",
		}
	}
	return doctor.Finding{Check: check, Level: doctor.OK, Text: text}
}
