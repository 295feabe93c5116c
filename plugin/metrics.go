package plugin

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// Results of an attach, as labels.
const (
	attached = "attached" // all devices that were asked for
	refused  = "refused"  // nothing has moved, or all is back
)

// metrics counts what happens. Present states are not counted but read, see states.
type metrics struct {
	registry *prometheus.Registry
	attaches *prometheus.CounterVec
	returns  *prometheus.CounterVec
	unlike   *prometheus.CounterVec
	refusals *prometheus.CounterVec
	reloads  *prometheus.CounterVec

	attachTook prometheus.Histogram
	returnTook prometheus.Histogram
	moveTook   prometheus.Histogram
	hookTook   *prometheus.HistogramVec
	recoveries prometheus.Counter
	configAt   prometheus.Gauge
	unusable   atomic.Bool // the node config as last read is not valid
}

// hook is NRI's name of a request of the runtime.
type hook string

const (
	hookRun    hook = "RunPodSandbox"
	hookStop   hook = "StopPodSandbox"
	hookRemove hook = "RemovePodSandbox"
	hookCreate hook = "CreateContainer"
)

// seconds returns the buckets of durations: a move takes 13 to 17 ms, a runtime waits
// for 2 s.
func seconds() []float64 { return []float64{.005, .01, .02, .04, .08, .15, .3, .6, 1.2, 2.5, 5, 10} }

func histogram(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds()}
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		attaches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nri_netdev_attaches_total", Help: "Attaches of the devices of a pod, or of one by hand, by result.",
		}, []string{"result"}),
		returns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nri_netdev_returns_total", Help: "Devices whose return has ended, by result.",
		}, []string{"result"}),
		unlike: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nri_netdev_differences_total",
			Help: "Attributes of devices that were not as meant after an attach (in the pod) or a return (on the host).",
		}, []string{"where", "attribute"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nri_netdev_refusals_total", Help: "Pods that were refused, by reason.",
		}, []string{"reason"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nri_netdev_config_reloads_total", Help: "Changes of the node config, by result.",
		}, []string{"result"}),
		attachTook: prometheus.NewHistogram(histogram("nri_netdev_attach_duration_seconds", "Attach of all devices of a pod, from the first move to the last setting.")),
		returnTook: prometheus.NewHistogram(histogram("nri_netdev_return_duration_seconds", "Return of all devices of a pod, tries that were not complete among them.")),
		moveTook:   prometheus.NewHistogram(histogram("nri_netdev_move_duration_seconds", "One move of one device in the kernel, either way.")),
		hookTook: prometheus.NewHistogramVec(histogram("nri_netdev_hook_duration_seconds",
			"From a request of the runtime about a pod with devices to the answer."), []string{"hook"}),
		recoveries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nri_netdev_recoveries_total", Help: "Sandboxes whose attach or return an earlier process had not completed.",
		}),
		configAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nri_netdev_config_timestamp_seconds", Help: "When the node config in force was read, as Unix time.",
		}),
	}
	for _, r := range reasons() {
		m.refusals.WithLabelValues(r.label)
	}
	for _, r := range []string{valid, invalid} {
		m.reloads.WithLabelValues(r)
	}
	m.configAt.SetToCurrentTime()
	for _, r := range []string{attached, refused} {
		m.attaches.WithLabelValues(r)
	}
	for _, o := range []sandbox.Outcome{sandbox.OutcomeReturned, sandbox.OutcomeQuarantined, sandbox.OutcomeLost} {
		m.returns.WithLabelValues(string(o))
	}
	m.registry.MustRegister(m.attaches, m.returns, m.unlike, m.refusals, m.reloads, m.attachTook, m.returnTook, m.moveTook,
		m.hookTook, m.recoveries, m.configAt,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Results of a reload.
const (
	valid   = "valid"
	invalid = "invalid"
)

// reloaded counts a change of the node config.
func (m *metrics) reloaded(result string) {
	m.reloads.WithLabelValues(result).Inc()
	m.unusable.Store(result == invalid)
	if result == valid {
		m.configAt.SetToCurrentTime()
	}
}

// answered starts the clock of a hook, and returns the function that stops it.
func (m *metrics) answered(h hook) func() {
	began := time.Now()
	return func() { m.hookTook.WithLabelValues(string(h)).Observe(time.Since(began).Seconds()) }
}

// refused counts a pod or a container that does not start.
func (m *metrics) refused(err error) {
	m.attaches.WithLabelValues(refused).Inc()
	m.refusals.WithLabelValues(reasonOf(err)).Inc()
}

var _ sandbox.Observer = (*metrics)(nil)

// Attached counts a sandbox that has got its devices.
func (m *metrics) Attached(took time.Duration) {
	m.attaches.WithLabelValues(attached).Inc()
	m.attachTook.Observe(took.Seconds())
}

// Returned counts a device whose return has ended. One that is home with minor
// differences counts as returned: the differences are counted by themselves.
func (m *metrics) Returned(how sandbox.Outcome) {
	if how == sandbox.OutcomeAltered {
		how = sandbox.OutcomeReturned
	}
	m.returns.WithLabelValues(string(how)).Inc()
}

// ReturnTook observes one try to return devices of a sandbox.
func (m *metrics) ReturnTook(took time.Duration) { m.returnTook.Observe(took.Seconds()) }

// Differs counts an attribute that is not as meant in the pod or on the host.
func (m *metrics) Differs(where sandbox.Side, attribute string) {
	m.unlike.WithLabelValues(string(where), attribute).Inc()
}

// Recovers counts a sandbox that an earlier process has left half done.
func (m *metrics) Recovers() { m.recoveries.Inc() }

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// states reads the state of the plugin when metrics are asked for.
type states struct{ *Plugin }

// Describe describes nothing: the registry then checks what Collect gives.
func (states) Describe(chan<- *prometheus.Desc) {}

// Collect sends the number of devices in each state, and the state of the plugin.
func (s states) Collect(out chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value)
	}
	perState := prometheus.NewDesc("nri_netdev_devices", "Devices that are not on the host as they were, by state.", []string{"state"}, nil)
	count := map[sandbox.State]int{}
	status := s.sandboxes.Status()
	for _, a := range status.Attachments {
		count[a.State]++
	}
	for _, state := range sandbox.States() {
		out <- prometheus.MustNewConstMetric(perState, prometheus.GaugeValue, float64(count[state]), string(state))
	}
	gauge("nri_netdev_pins", "Network namespaces of pods that are kept alive.", float64(s.sandboxes.Pins()))
	gauge("nri_netdev_missed_pods", "Pods that run without the devices that they ask for.", float64(len(status.Missed)))
	gauge("nri_netdev_registered", "1 while registered with the runtime.", truth(s.Registered()))
	gauge("nri_netdev_recovered", "1 once all work that earlier processes left is done.", truth(s.sandboxes.Recovered()))
	gauge("nri_netdev_config_valid", "0 while the node config is not valid, so that the one before, or none, is in force.",
		truth(!s.metrics.unusable.Load() || s.handedOver.Load()))
	out <- prometheus.MustNewConstMetric(prometheus.NewDesc("nri_netdev_journal_set_aside_total",
		"Files of the journal that were no records and were set aside.", nil, nil), prometheus.CounterValue, float64(s.sandboxes.SetAside()))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
