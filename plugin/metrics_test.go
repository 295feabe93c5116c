package plugin

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// What is counted by labels is there from the start, so that a first one is seen to come.
func TestMetricsFromTheStart(t *testing.T) {
	n := newNode(t, allowAll)
	for _, name := range []string{
		`nri_netdev_attaches_total{result="attached"}`,
		`nri_netdev_attaches_total{result="refused"}`,
		`nri_netdev_refusals_total{reason="annotation"}`,
		`nri_netdev_refusals_total{reason="other"}`,
		`nri_netdev_returns_total{result="returned"}`,
		`nri_netdev_returns_total{result="quarantined"}`,
		`nri_netdev_returns_total{result="lost"}`,
		`nri_netdev_config_reloads_total{result="valid"}`,
		`nri_netdev_config_reloads_total{result="invalid"}`,
		`nri_netdev_devices{state="misnamed"}`,
	} {
		if got := n.metric(t, name); got != "0" {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := n.metric(t, "nri_netdev_config_timestamp_seconds"); got == "0" {
		t.Error("the node config of the start has no time")
	}
}

// What is told is counted. A device that is home with minor differences is returned.
func TestWhatIsToldIsCounted(t *testing.T) {
	n := newNode(t, allowAll)
	n.metrics.Returned(sandbox.OutcomeAltered)
	n.metrics.Returned(sandbox.OutcomeLost)
	n.metrics.Differs(sandbox.HostSide, "neighbor")
	n.metrics.Recovers()
	for name, want := range map[string]string{
		`nri_netdev_returns_total{result="returned"}`:                     "1",
		`nri_netdev_returns_total{result="lost"}`:                         "1",
		`nri_netdev_returns_total{result="altered"}`:                      "",
		`nri_netdev_differences_total{attribute="neighbor",where="host"}`: "1",
		`nri_netdev_recoveries_total`:                                     "1",
	} {
		if got := n.metric(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// The time of the node config is that of the last valid one.
func TestTimeOfTheConfig(t *testing.T) {
	n := newNode(t, allowAll)
	n.metrics.configAt.Set(0)
	n.RefuseConfig()
	if got := n.metric(t, "nri_netdev_config_timestamp_seconds"); got != "0" {
		t.Errorf("%q after one that is not valid", got)
	}
	n.SetConfig(n.sandboxes.Config())
	if got := n.metric(t, "nri_netdev_config_timestamp_seconds"); got == "0" {
		t.Error("0 after a valid one")
	}
}
