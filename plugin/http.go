package plugin

import (
	"fmt"
	"net/http"
)

// Handler answers probes: /healthz says that the process lives, /readyz that
// it is registered with the runtime and has recovered; /metrics is for
// Prometheus.
func (p *Plugin) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", p.metrics.handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !p.Registered() {
			http.Error(w, "not registered with the runtime", http.StatusServiceUnavailable)
			return
		}
		if !p.sandboxes.Recovered() {
			http.Error(w, "recovering what the process before this one left", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
