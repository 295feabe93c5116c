package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pod is what RunPod is asked to run.
type Pod struct {
	Name        string
	Namespace   string // "default" if empty
	UID         string // a new one if empty
	Annotations map[string]string

	HostNetwork    bool
	UserNamespace  bool   // hostUsers: false
	RuntimeHandler string // "", "runc", or "other", which is runc too
}

// RequirePlugin annotates the pod so that its containers wait for an NRI plugin
// on a node with Options.Validator.
func (p *Pod) RequirePlugin(name string) {
	annotations := map[string]string{"required-plugins.noderesource.dev": "[" + strconv.Quote(name) + "]"}
	maps.Copy(annotations, p.Annotations)
	p.Annotations = annotations
}

// Sandbox is a pod that runs, or has run, on a node.
type Sandbox struct {
	ID     string
	UID    string
	node   *Node
	config *cri.PodSandboxConfig
}

// RunPod runs a pod without containers. The error is what the kubelet would
// put into the pod's events.
func (n *Node) RunPod(ctx context.Context, pod Pod) (*Sandbox, error) {
	config := n.sandboxConfig(pod)
	resp, err := n.cri.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: pod.RuntimeHandler})
	if err != nil {
		return nil, fmt.Errorf("run pod %s: %w", pod.Name, err)
	}
	return &Sandbox{ID: resp.PodSandboxId, UID: config.Metadata.Uid, node: n, config: config}, nil
}

func (n *Node) sandboxConfig(pod Pod) *cri.PodSandboxConfig {
	if pod.Namespace == "" {
		pod.Namespace = "default"
	}
	if pod.UID == "" {
		pod.UID = strings.ToLower(rand.Text())
	}
	hostname := pod.Name
	if pod.HostNetwork { // with the network comes the host's name
		hostname = ""
	}
	return &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: pod.UID},
		Hostname: hostname,
		Labels: map[string]string{ // the kubelet's
			"io.kubernetes.pod.name":      pod.Name,
			"io.kubernetes.pod.namespace": pod.Namespace,
			"io.kubernetes.pod.uid":       pod.UID,
		},
		Annotations: pod.Annotations,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    "/" + n.cgroup,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: namespaceOptions(pod)},
		},
	}
}

func namespaceOptions(pod Pod) *cri.NamespaceOption {
	opts := &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}
	if pod.HostNetwork {
		opts.Network = cri.NamespaceMode_NODE
	}
	if pod.UserNamespace {
		ids := []*cri.IDMapping{{HostId: 100000, ContainerId: 0, Length: 65536}}
		opts.UsernsOptions = &cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: ids, Gids: ids}
	}
	return opts
}

// Stop stops the pod, and may be called again.
func (s *Sandbox) Stop(ctx context.Context) error {
	_, err := s.node.cri.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: s.ID})
	return err
}

// Remove removes the pod, and stops it if it runs: its containers first, one by
// one, as the kubelet does. containerd 2.4 can do it by itself, and hangs for good
// if an NRI plugin registers meanwhile: it takes the lock that keeps plugins out
// a second time, which then waits for the plugin that waits for the first.
func (s *Sandbox) Remove(ctx context.Context) error {
	filter := &cri.ContainerFilter{PodSandboxId: s.ID}
	list, err := s.node.cri.ListContainers(ctx, &cri.ListContainersRequest{Filter: filter})
	if err != nil {
		return err
	}
	for _, c := range list.Containers {
		if _, err := s.node.cri.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: c.Id}); err != nil {
			return err
		}
	}
	_, err = s.node.cri.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: s.ID})
	return err
}

// Netns is the pod's network namespace as a path on the node.
func (s *Sandbox) Netns(ctx context.Context) (string, error) {
	var info struct {
		RuntimeSpec struct {
			Linux struct {
				Namespaces []struct{ Type, Path string }
			}
		}
	}
	if err := s.info(ctx, &info); err != nil {
		return "", err
	}
	for _, ns := range info.RuntimeSpec.Linux.Namespaces {
		if ns.Type == "network" {
			return ns.Path, nil
		}
	}
	return "", errors.New("the pod has no network namespace")
}

// PID is the pod's pause process as the node sees it.
func (s *Sandbox) PID(ctx context.Context) (int, error) {
	var info struct{ Pid int }
	err := s.info(ctx, &info)
	return info.Pid, err
}

// info reads what containerd tells beyond CRI.
func (s *Sandbox) info(ctx context.Context, into any) error {
	resp, err := s.node.cri.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: s.ID, Verbose: true})
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(resp.Info["info"]), into)
}

// FindPod finds the newest sandbox of a pod that somebody else runs.
func (n *Node) FindPod(ctx context.Context, namespace, name string) (*Sandbox, error) {
	labels := map[string]string{"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace}
	list, err := n.cri.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{LabelSelector: labels}})
	if err != nil {
		return nil, err
	}
	if len(list.Items) == 0 {
		return nil, fmt.Errorf("no sandbox of pod %s/%s", namespace, name)
	}
	newest := slices.MaxFunc(list.Items, func(a, b *cri.PodSandbox) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) })
	return &Sandbox{ID: newest.Id, UID: newest.Metadata.Uid, node: n}, nil
}
