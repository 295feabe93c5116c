// Nri-netdev-dra is the driver of nri-netdev for Kubernetes' Dynamic Resource Allocation: it
// tells the scheduler which network devices its node has, and the plugin on the node which
// pod is to have them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/nri-netdev/nri-netdev/dra/driver"
	"github.com/nri-netdev/nri-netdev/plugin/control"
	"github.com/nri-netdev/nri-netdev/plugin/program"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "nri-netdev-dra: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	log, err := program.NewLogger(stderr, o.logLevel, o.logFormat)
	if err != nil {
		return err
	}
	klog.SetLogger(logr.FromSlogHandler(log.Handler()))
	ctx = klog.NewContext(ctx, klog.Background())
	kube, err := newClient(o.kubeconfig)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.driver.PluginDir, 0o750); err != nil {
		return fmt.Errorf("make the folder of the driver's socket: %w", err)
	}
	metrics := driver.NewMetrics()
	d := driver.New(o.driver, log, kube, control.NewClient(o.stateDir), metrics)
	return serve(ctx, log, o, d, metrics)
}

// serve runs the driver, and answers probes as long as it runs.
func serve(ctx context.Context, log *slog.Logger, o *options, d *driver.Driver, metrics *driver.Metrics) error {
	ctx, cancel := context.WithCancel(ctx)
	var probes sync.WaitGroup
	if o.listen != "" {
		probes.Go(func() { serveProbes(ctx, log, o.listen, handler(d.Ready, metrics.Handler())) })
	}
	log.Info("nri-netdev-dra runs", "version", program.Version(), "commit", program.Commit(), "node", o.driver.NodeName)
	err := d.Run(ctx)
	cancel()
	probes.Wait()
	return err
}

// options are what the flags say.
type options struct {
	driver                       driver.Options
	stateDir, kubeconfig, listen string
	logLevel, logFormat          string
}

func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("nri-netdev-dra", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.driver.NodeName, "node-name", os.Getenv("NODE_NAME"), "the node, as Kubernetes calls it; default $NODE_NAME")
	flags.StringVar(&o.stateDir, "state-dir", "/run/nri-netdev", "the plugin's state folder")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "file that says where the API server is; default: the pod's own account")
	flags.StringVar(&o.listen, "listen", ":9646", "address for /metrics, /healthz and /readyz; \"\" = off")
	flags.StringVar(&o.driver.RegistrarDir, "registrar-dir", "/var/lib/kubelet/plugins_registry", "folder where the kubelet finds its plugins")
	flags.StringVar(&o.driver.PluginDir, "plugin-dir", "/var/lib/kubelet/plugins/netdev.noderesource.dev", "folder of the driver's own socket, which the kubelet can reach")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
	uid := flags.String("pod-uid", os.Getenv("POD_UID"), "UID of the driver's pod, for an update without a gap; default $POD_UID")
	showVersion := flags.Bool("version", false, "print the version")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *showVersion {
		fmt.Printf("nri-netdev-dra %s\ncommit         %s\n", program.Version(), program.Commit())
		return nil, flag.ErrHelp
	}
	o.driver.PodUID = types.UID(*uid)
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("argument %q: want none", flags.Arg(0))
	}
	if o.driver.NodeName == "" {
		return nil, errors.New("--node-name: say which node this is")
	}
	return o, nil
}
