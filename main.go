package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
)

// init keeps other goroutines off the main thread. /proc/PID/ns/net shows the network
// namespace of that thread, and a goroutine may be inside a pod's.
func init() { runtime.LockOSThread() }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		printError(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

// common are the flags of every command.
type common struct {
	config    string
	stateDir  string
	cdiDir    string
	logLevel  string
	logFormat string
}

func rootCommand() *cobra.Command {
	c := &common{}
	serve := &runOptions{common: c}
	root := &cobra.Command{
		Use:   "nri-netdev",
		Short: "gives host network devices to pods, and takes them back",
		Long: `nri-netdev is an NRI plugin for containerd and CRI-O. It moves the host network
devices that a pod's annotation names into the pod before its containers start,
and back when the pod ends. Without a command it runs the plugin.`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return serve.run(cmd.Context(), cmd.ErrOrStderr()) },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&c.config, "config", "/etc/nri-netdev/config.yaml", "node config: who may have which devices")
	flags.StringVar(&c.stateDir, "state-dir", "/run/nri-netdev", "state folder, on a tmpfs")
	flags.StringVar(&c.cdiDir, "cdi-dir", "/var/run/cdi", "folder of CDI specifications, which the runtime reads")
	flags.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&c.logFormat, "log-format", "text", "text or json")
	serve.defaults()
	root.AddCommand(runCommand(serve), checkCommand(c), devicesCommand(c), doctorCommand(c), statusCommand(c), moveCommand(c), returnCommand(c), versionCommand())
	return root
}
