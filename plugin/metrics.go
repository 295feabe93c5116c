package plugin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// result is how an attach or a return ended, as a label.
type result string

const (
	attached    result = "attached" // all devices that were asked for
	refused     result = "refused"  // nothing has moved, or all is back
	returned    result = "returned" // of one device
	quarantined result = "quarantined"
	lostForGood result = "lost"
)

// metrics are what the plugin counts. What can be read when it is asked for is
// not counted, see states.
type metrics struct {
	registry *prometheus.Registry
	attaches *prometheus.CounterVec
	returns  *prometheus.CounterVec
	unlike   *prometheus.CounterVec
}

func newMetrics(p *Plugin) *metrics {
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
	}
	for _, r := range []result{attached, refused} {
		m.attaches.WithLabelValues(string(r))
	}
	for _, r := range []result{returned, quarantined, lostForGood} {
		m.returns.WithLabelValues(string(r))
	}
	m.registry.MustRegister(m.attaches, m.returns, m.unlike, states{p},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) attached(r result) { m.attaches.WithLabelValues(string(r)).Inc() }
func (m *metrics) returned(r result) { m.returns.WithLabelValues(string(r)).Inc() }

// differs counts an attribute that is not as meant in the "pod" or on the "host".
func (m *metrics) differs(where, attribute string) {
	m.unlike.WithLabelValues(where, attribute).Inc()
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// states reads the state of the plugin when metrics are asked for.
type states struct{ *Plugin }

// Describe describes nothing: the registry then checks what Collect gives.
func (states) Describe(chan<- *prometheus.Desc) {}

// Collect tells how many devices are in which state, and how the plugin is.
func (s states) Collect(out chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64) {
		out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, value)
	}
	perState := prometheus.NewDesc("nri_netdev_devices", "Devices that are not on the host as they were, by state.", []string{"state"}, nil)
	count := map[State]int{}
	for _, a := range attachments(s.journal.All()) {
		count[a.State]++
	}
	for _, state := range allStates() {
		out <- prometheus.MustNewConstMetric(perState, prometheus.GaugeValue, float64(count[state]), string(state))
	}
	gauge("nri_netdev_missed_pods", "Pods that run without the devices that they ask for.", float64(len(s.missed.list())))
	gauge("nri_netdev_registered", "1 while registered with the runtime.", truth(s.ready.Load()))
	gauge("nri_netdev_recovered", "1 once nothing is left to do of what earlier processes left.", truth(s.recovered.Load()))
	out <- prometheus.MustNewConstMetric(prometheus.NewDesc("nri_netdev_journal_set_aside_total",
		"Files of the journal that were no records and were set aside.", nil, nil), prometheus.CounterValue, float64(s.journal.SetAside()))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
