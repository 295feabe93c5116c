package driver

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nri-netdev/nri-netdev/plugin/claim"
)

// Metrics are what the driver counts. They name no pod, no claim and no device.
type Metrics struct {
	registry  *prometheus.Registry
	up        prometheus.Gauge
	taints    prometheus.Gauge
	devices   *prometheus.GaugeVec
	prepare   *prometheus.HistogramVec
	unprepare *prometheus.HistogramVec
	statuses  *prometheus.CounterVec
	failures  prometheus.Counter
}

// NewMetrics makes metrics in a registry of their own.
func NewMetrics() *Metrics {
	const prefix = "nri_netdev_dra_"
	buckets := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		up:       prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "plugin_up", Help: "1 if the plugin of the node answered when it was asked last."}),
		taints:   prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "taints_supported", Help: "0 if the API server drops device taints: such devices are left out of the slices."}),
		devices:  prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: prefix + "devices", Help: "Devices that the node offers to claims, by state."}, []string{"state"}),
		prepare: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "prepare_seconds", Help: "Time to prepare a claim, by result.", Buckets: buckets,
		}, []string{"result"}),
		unprepare: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "unprepare_seconds", Help: "Time to unprepare a claim, by result.", Buckets: buckets,
		}, []string{"result"}),
		statuses: prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "claim_statuses_total", Help: "Statuses of claims that were written, by result."}, []string{"result"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + "publish_failures_total", Help: "Failures to publish resource slices."}),
	}
	m.registry.MustRegister(m.up, m.taints, m.devices, m.prepare, m.unprepare, m.statuses, m.failures,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler shows the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) pluginUp(up bool) {
	m.up.Set(0)
	if up {
		m.up.Set(1)
	}
}

func (m *Metrics) setDevices(devices []claim.Device) {
	count := map[claim.State]int{}
	for _, d := range devices {
		count[d.State]++
	}
	for _, s := range claim.States() {
		m.devices.WithLabelValues(string(s)).Set(float64(count[s]))
	}
}

func (m *Metrics) prepared(took time.Duration, err error) {
	m.prepare.WithLabelValues(result(err)).Observe(took.Seconds())
}

func (m *Metrics) unprepared(took time.Duration, err error) {
	m.unprepare.WithLabelValues(result(err)).Observe(took.Seconds())
}

func (m *Metrics) statusWritten(err error) { m.statuses.WithLabelValues(result(err)).Inc() }

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "success"
}
