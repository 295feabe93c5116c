package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/dynamic-resource-allocation/kubeletplugin"
	"k8s.io/dynamic-resource-allocation/resourceslice"

	"github.com/nri-netdev/nri-netdev/dra/slice"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// Plugin is the plugin of the node.
type Plugin interface {
	Inventory(ctx context.Context, after uint64) (claim.Inventory, error)
	Claims(ctx context.Context, after uint64) (claim.Statuses, error)
	Prepare(ctx context.Context, c claim.Claim) (claim.Prepared, error)
	Unprepare(ctx context.Context, uid string) error
}

// patience is how long the driver waits for an answer. A watch is answered after half a
// minute, changed or not.
const patience = time.Minute

// Options say where the driver runs.
type Options struct {
	NodeName string
	PodUID   types.UID // for rolling updates; "": another driver of the node is replaced

	// Folders of the kubelet's: the same for it and the driver.
	RegistrarDir string
	PluginDir    string
}

// Driver is the driver of one node.
type Driver struct {
	opts    Options
	log     *slog.Logger
	kube    kubernetes.Interface
	plugin  Plugin
	metrics *Metrics

	helper   atomic.Pointer[kubeletplugin.Helper] // nil before it runs
	answered atomic.Bool                          // the plugin, when it was asked last

	mu        sync.Mutex // held while publishing
	inventory []claim.Device
	taints    bool            // the API server knows them
	problems  map[string]bool // of the inventory that were logged
}

// New makes a driver.
func New(opts Options, log *slog.Logger, kube kubernetes.Interface, plugin Plugin, metrics *Metrics) *Driver {
	metrics.taints.Set(1)
	return &Driver{opts: opts, log: log, kube: kube, plugin: plugin, metrics: metrics, taints: true}
}

// Run serves the kubelet and follows the plugin until ctx ends.
func (d *Driver) Run(ctx context.Context) error {
	helper, err := kubeletplugin.Start(ctx, d,
		kubeletplugin.DriverName(slice.Driver),
		kubeletplugin.NodeName(d.opts.NodeName),
		kubeletplugin.KubeClient(d.kube),
		kubeletplugin.RegistrarDirectoryPath(d.opts.RegistrarDir),
		kubeletplugin.PluginDataDirectoryPath(d.opts.PluginDir),
		kubeletplugin.RollingUpdate(d.opts.PodUID),
		kubeletplugin.HealthService(false),
	)
	if err != nil {
		return fmt.Errorf("serve the kubelet: %w", err)
	}
	d.helper.Store(helper)
	var following sync.WaitGroup
	following.Go(func() { d.followInventory(ctx) })
	following.Go(func() { d.followClaims(ctx) })
	<-ctx.Done()
	helper.Stop() // removes the sockets; what was under way, the kubelet asks for again
	following.Wait()
	return nil
}

// Ready returns nil if the driver can do its work, else why not.
func (d *Driver) Ready() error {
	helper := d.helper.Load()
	switch {
	case helper == nil:
		return errors.New("starting")
	case !d.answered.Load():
		return errors.New("the plugin of this node does not answer: is the DaemonSet nri-netdev ready here?")
	case helper.RegistrationStatus() == nil:
		return errors.New("the kubelet has not registered the driver yet")
	case !helper.RegistrationStatus().PluginRegistered:
		return fmt.Errorf("the kubelet refuses the driver: %s", helper.RegistrationStatus().Error)
	}
	return nil
}

// HandleError is told of what fails behind requests.
func (d *Driver) HandleError(_ context.Context, err error, msg string) {
	if dropped, ok := errors.AsType[*resourceslice.DroppedFieldsError](err); ok {
		// Not from here: whoever calls this holds what publishing needs.
		go d.fieldsDropped(dropped)
		return
	}
	d.metrics.failures.Inc()
	d.log.Error(msg, "err", err)
}

// WatchHealthStatus reports no health: slices have taints.
func (d *Driver) WatchHealthStatus(context.Context, chan<- kubeletplugin.DeviceHealthReport) error {
	return kubeletplugin.ErrHealthNotSupported
}
