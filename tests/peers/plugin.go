package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/plugin"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// state is the plugin's state folder. /run is a tmpfs here, as on a node.
const state = "/run/nri-netdev"

// hook is the plugin, called as the runtime does for a pod of its own each time.
type hook struct {
	*node
	plugin  *plugin.Plugin
	journal *journal.Journal
	log     *bytes.Buffer
	pod     *api.PodSandbox
	pods    int
}

func newHook(n *node) (*hook, error) {
	allowed, err := config.Parse([]byte(n.nodeConfig()))
	if err != nil {
		return nil, err
	}
	j, problems, err := journal.Open(state, "this boot")
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("journal: %v", problems)
	}
	h := &hook{node: n, journal: j, log: &bytes.Buffer{}}
	mover := &netmove.Mover{Now: linux().Now, Host: n.host, Log: slog.New(slog.NewTextHandler(h.log, nil))}
	h.plugin = plugin.New(linux(), mover, j, sandbox.Folders{State: state, CDI: filepath.Join(state, "cdi")}, allowed, mover.Log)
	measured := mover.Moved
	mover.Moved = func(took time.Duration) {
		measured(took)
		n.moved(took)
	}
	return h, nil
}

// nodeConfig allows the devices by name, since the other end of each is in another
// namespace.
func (n *node) nodeConfig() string {
	var names []string
	for _, d := range n.devices {
		names = append(names, d.onHost)
	}
	return fmt.Sprintf(`{apiVersion: %s, kind: %s, allow: [{devices: [%s], namespaces: [telco]}]}`,
		config.APIVersion, config.Kind, strings.Join(names, ", "))
}

func (h *hook) attach() error {
	h.log.Reset()
	h.pods++
	h.pod = h.sandbox()
	return h.plugin.RunPodSandbox(context.Background(), h.pod)
}

// giveBack looks whether the devices are home, since the hook does not tell.
func (h *hook) giveBack() error {
	h.log.Reset()
	if err := h.plugin.StopPodSandbox(context.Background(), h.pod); err != nil {
		return err
	}
	if _, ok := h.journal.Get(h.pod.GetId()); ok {
		return fmt.Errorf("not returned: %s", h.log)
	}
	return nil
}

func (h *hook) sandbox() *api.PodSandbox {
	id := fmt.Sprintf("%064x", h.pods)
	var asks strings.Builder
	for _, d := range h.devices {
		fmt.Fprintf(&asks, "- name: %s\n  newName: %s\n", d.onHost, d.inPod)
	}
	return &api.PodSandbox{
		Id: id, Uid: id, Namespace: "telco", Name: "worker-0", Pid: uint32(os.Getpid()),
		Annotations: map[string]string{config.Annotation: asks.String()},
		Linux: &api.LinuxPodSandbox{
			Namespaces: []*api.LinuxNamespace{{Type: "network", Path: netnsPath(podNetns)}},
		},
	}
}

// linux is the running kernel as the program has it.
func linux() kernel.Linux {
	const patience = 10 * time.Second
	return kernel.Linux{Patience: patience, Stuck: func(what string) {
		fmt.Fprintf(os.Stderr, "peers: the kernel does not answer: %s\n", what)
		os.Exit(1)
	}}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
