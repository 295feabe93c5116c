package cluster_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// serviceMonitors is as much of the Prometheus operator as takes a ServiceMonitor.
const serviceMonitors = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: ServiceMonitor, plural: servicemonitors}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// The overlay for monitoring opens the metrics, and every query of the dashboard
// finds something in them.
func (f *fixture) monitors(t *testing.T) {
	f.apply(t, serviceMonitors)
	f.kubectl(t, "wait", "--for=condition=Established", "crd/servicemonitors.monitoring.coreos.com", "--timeout=180s")
	f.install(t, "manifests/overlays/monitoring")
	f.allow(t)
	f.pluginReady(t)
	f.differs(t)
	first := f.scrape(t) // a rate takes two values of a series
	f.apply(t, pod("counted", "eth3"))
	f.runs(t, "counted", "eth3")
	f.kubectl(t, "delete", "pod", "counted")
	f.isHome(t, "eth3")
	dashboard, err := filepath.Abs(filepath.Join(repository, "manifests/monitoring/dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	tool, err := node.Tool("promql")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, dashboard, first, f.scrape(t)).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// differs has a pod end whose device cannot be what it was: somebody has taken the id
// of its nexthop object meanwhile.
func (f *fixture) differs(t *testing.T) {
	t.Helper()
	f.host.IP(t, "nexthop add id 77 via 10.1.2.9 dev eth3")
	f.apply(t, pod("differs", "eth3"))
	f.runs(t, "differs", "eth3")
	f.host.IP(t, "nexthop add id 77 blackhole")
	f.kubectl(t, "delete", "pod", "differs")
	f.eventually(t, "difference", func() bool { return strings.Contains(f.metrics(t), `nri_netdev_differences_total{attribute="nexthop"`) })
	f.host.IP(t, "nexthop del id 77")
	f.isHome(t, "eth3")
}

// metrics are read through the API server, which reaches the node's address.
func (f *fixture) metrics(t *testing.T) string {
	t.Helper()
	return f.kubectl(t, "get", "--raw", "/api/v1/namespaces/nri-netdev/pods/"+f.pluginPod(t)+":9645/proxy/metrics")
}

// scrape writes them to a file.
func (f *fixture) scrape(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics")
	write(t, path, f.metrics(t))
	return path
}
