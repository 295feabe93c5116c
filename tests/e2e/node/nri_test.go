package node_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// refuser is an NRI plugin that refuses the pods that ask for it.
type refuser struct{}

var _ stub.RunPodInterface = refuser{}

func (refuser) RunPodSandbox(_ context.Context, pod *api.PodSandbox) error {
	if reason := pod.Annotations["refuse"]; reason != "" {
		return errors.New(reason)
	}
	return nil
}

func TestNRIPluginSeesPods(t *testing.T) {
	t.Parallel()
	n := startNode(t, node.Options{})
	plugin, err := stub.New(refuser{},
		stub.WithPluginName("refuser"), stub.WithPluginIdx("10"), stub.WithSocketPath(n.Path(node.NRISocket)))
	if err != nil {
		t.Fatal(err)
	}
	if err := plugin.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer plugin.Stop()
	runPod(t, n, node.Pod{Name: "welcome"})
	_, err = n.RunPod(t.Context(), node.Pod{Name: "refused", Annotations: map[string]string{"refuse": "not here"}})
	if err == nil || !strings.Contains(err.Error(), "not here") {
		t.Errorf("run a pod that the plugin refuses: %v, want its reason", err)
	}
}
