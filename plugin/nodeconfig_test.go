package plugin

import (
	"errors"
	"strings"
	"testing"
)

// What pods hold comes home under a node config that is not valid; what they ask
// for is refused with the reason, until there is a valid one.
func TestAllowNothing(t *testing.T) {
	n := newNode(t, allowAll)
	pod := n.pod("a", "- name: eth1")
	valid, before := n.sandboxes.Config(), n.World.String()
	if err := n.RunPodSandbox(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	n.AllowNothing(errors.New("config.yaml: not YAML"))
	if n.ConfigProblem() == nil || n.metric(t, "nri_netdev_config_valid") != "0" ||
		n.metric(t, `nri_netdev_config_reloads_total{result="invalid"}`) != "1" {
		t.Error("the problem is not told")
	}
	if err := n.StopPodSandbox(t.Context(), pod); err != nil {
		t.Error(err)
	}
	n.asBefore(t, before)
	again := n.pod("b", "- name: eth1")
	if err := n.RunPodSandbox(t.Context(), again); err == nil || !strings.Contains(err.Error(), "config.yaml: not YAML") {
		t.Errorf("a pod is told %v", err)
	}
	if !n.SetConfig(valid) || n.ConfigProblem() != nil || n.metric(t, "nri_netdev_config_valid") != "1" {
		t.Error("the valid one is not told")
	}
	if err := n.RunPodSandbox(t.Context(), again); err != nil {
		t.Error(err)
	}
	n.RefuseConfig()
	if n.ConfigProblem() != nil || n.metric(t, "nri_netdev_config_valid") != "0" {
		t.Error("a refused change does not keep the config, or is not told")
	}
	n.handedOver.Store(true)
	n.AllowNothing(errors.New("config.yaml: not YAML"))
	if n.ConfigProblem() != nil || n.metric(t, "nri_netdev_config_valid") != "1" {
		t.Error("the file counts beside what the runtime has handed over")
	}
}
