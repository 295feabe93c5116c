//go:build !race

package plugin

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// nothing is the least that an NRI plugin can be that is told of pods and containers.
type nothing struct{}

func (nothing) RunPodSandbox(context.Context, *api.PodSandbox) error    { return nil }
func (nothing) StopPodSandbox(context.Context, *api.PodSandbox) error   { return nil }
func (nothing) RemovePodSandbox(context.Context, *api.PodSandbox) error { return nil }

func (nothing) CreateContainer(context.Context, *api.PodSandbox, *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	return nil, nil, nil
}

// others is a pod that asks for nothing, as the kubelet makes them.
func others() (*api.PodSandbox, *api.Container) {
	pod := &api.PodSandbox{
		Id: fmt.Sprintf("%064x", 1), Name: "other", Namespace: "default", Uid: "uid",
		Annotations: map[string]string{"kubernetes.io/config.seen": "now", "kubernetes.io/config.source": "api", "prometheus.io/scrape": "true"},
		Linux:       &api.LinuxPodSandbox{Namespaces: []*api.LinuxNamespace{{Type: "network", Path: "/run/netns/cni-1"}}},
	}
	return pod, &api.Container{Id: fmt.Sprintf("%064x", 2), PodSandboxId: pod.Id, Name: "main"}
}

// BenchmarkOthers is what a pod that asks for nothing waits for, per request of the
// runtime: with this plugin, with one that does nothing, and with none.
func BenchmarkOthers(b *testing.B) {
	for name, connect := range map[string]func(*testing.B, string){
		"none": func(*testing.B, string) {},
		"noop": connectNothing,
		"ours": func(b *testing.B, socket string) { newNode(b, allowAll).serve(b, socket) },
	} {
		b.Run("plugin="+name, func(b *testing.B) {
			socket := filepath.Join(b.TempDir(), "nri.sock")
			r := startRuntime(b, socket)
			connect(b, socket)
			if name == "ours" {
				r.await(b)
			}
			pod, container := others()
			for b.Loop() {
				if err := r.run(b, pod); err != nil {
					b.Fatal(err)
				}
				if _, err := r.CreateContainer(b.Context(), &api.CreateContainerRequest{Pod: pod, Container: container}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func connectNothing(b *testing.B, socket string) {
	b.Helper()
	s, err := stub.New(nothing{}, stub.WithPluginName("nothing"), stub.WithPluginIdx("10"), stub.WithSocketPath(socket))
	if err == nil {
		err = s.Start(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Stop)
}

// BenchmarkHook is the same within the plugin: no messages, no allocations.
func BenchmarkHook(b *testing.B) {
	n := newNode(b, allowAll)
	pod, container := others()
	b.ReportAllocs()
	for b.Loop() {
		if err := n.RunPodSandbox(b.Context(), pod); err != nil {
			b.Fatal(err)
		}
		if _, _, err := n.CreateContainer(b.Context(), pod, container); err != nil {
			b.Fatal(err)
		}
	}
}
