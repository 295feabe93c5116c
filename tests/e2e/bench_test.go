package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// nothing is the least that an NRI plugin can be that is told of pods and containers.
type nothing struct{}

func (nothing) RunPodSandbox(context.Context, *api.PodSandbox) error    { return nil }
func (nothing) StopPodSandbox(context.Context, *api.PodSandbox) error   { return nil }
func (nothing) RemovePodSandbox(context.Context, *api.PodSandbox) error { return nil }

func (nothing) CreateContainer(context.Context, *api.PodSandbox, *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	return nil, nil, nil
}

// BenchmarkOtherPods is how long pods that ask for nothing take on containerd: with this
// plugin, with one that does nothing, and with none, each on a node of its own, in an
// order that is drawn anew each time. Reported are medians; -benchtime 100x is a good number.
func BenchmarkOtherPods(b *testing.B) {
	peers := []string{"none", "noop", "ours"}
	nodes := map[string]*node.Node{}
	took := map[string][]time.Duration{}
	for _, peer := range peers {
		n, err := node.Start(b.Context(), node.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := n.Close(); err != nil {
				b.Error(err)
			}
		})
		nodes[peer] = n
		connect(b, n, peer)
	}
	for round := 0; b.Loop(); round++ {
		for _, i := range rand.Perm(len(peers)) {
			pod, container := life(b, nodes[peers[i]], fmt.Sprint("pod", round))
			took[peers[i]+"-pod"] = append(took[peers[i]+"-pod"], pod)
			took[peers[i]+"-container"] = append(took[peers[i]+"-container"], container)
		}
	}
	b.ReportMetric(0, "ns/op")
	for what, list := range took {
		slices.Sort(list)
		b.ReportMetric(list[len(list)/2].Seconds()*1e3, "ms/"+what)
	}
}

// life is one pod with one container: how long each took to be there.
func life(b *testing.B, n *node.Node, name string) (pod, container time.Duration) {
	b.Helper()
	began := time.Now()
	s, err := n.RunPod(b.Context(), node.Pod{Name: name})
	if err != nil {
		b.Fatal(err)
	}
	pod = time.Since(began)
	began = time.Now()
	if _, err := s.RunContainer(b.Context(), "main"); err != nil {
		b.Fatal(err)
	}
	container = time.Since(began)
	if err := s.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := s.Remove(b.Context()); err != nil {
		b.Fatal(err)
	}
	return pod, container
}

// connect gives the node's containerd the plugin that it is to have.
func connect(b *testing.B, n *node.Node, peer string) {
	b.Helper()
	switch peer {
	case "none":
		return
	case "noop":
		s, err := stub.New(nothing{}, stub.WithPluginName("nothing"), stub.WithPluginIdx("10"), stub.WithSocketPath(n.Path(node.NRISocket)))
		if err == nil {
			err = s.Start(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Stop)
	case "ours":
		program := b.TempDir() + "/nri-netdev"
		build := exec.Command("go", "build", "-o", program, ".")
		build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			b.Fatalf("build: %v: %s", err, out)
		}
		p, err := n.Run(exec.Command(program, "run", "--log-level", "error"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := p.Signal(syscall.SIGTERM); err != nil {
				b.Error(err)
			}
			if err := p.Wait(); err != nil {
				b.Error(err)
			}
		})
	}
	for began := time.Now(); !strings.Contains(n.Log(), "connected and synchronized"); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			b.Fatalf("no plugin: %s", n.Log())
		}
	}
}
