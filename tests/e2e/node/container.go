package node

import (
	"context"
	"encoding/json"
	"fmt"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Container is a container of a pod.
type Container struct {
	ID   string
	node *Node
}

// RunContainer runs a container in the pod. It does nothing until its end. In
// a pod with a user namespace that takes runc 1.2 (idmapped mounts), which is
// newer than Debian 12's; the pod itself does without. The container asks for these CDI
// devices, as the kubelet has it do for claims.
func (s *Sandbox) RunContainer(ctx context.Context, name string, cdi ...string) (*Container, error) {
	var devices []*cri.CDIDevice
	for _, device := range cdi {
		devices = append(devices, &cri.CDIDevice{Name: device})
	}
	created, err := s.node.cri.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId:  s.ID,
		SandboxConfig: s.config,
		Config: &cri.ContainerConfig{
			Metadata:   &cri.ContainerMetadata{Name: name},
			CDIDevices: devices,
			Image:      &cri.ImageSpec{Image: image, UserSpecifiedImage: image},
			Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: s.config.Linux.SecurityContext.NamespaceOptions,
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create container %s: %w", name, err)
	}
	if _, err := s.node.cri.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return nil, fmt.Errorf("start container %s: %w", name, err)
	}
	return &Container{ID: created.ContainerId, node: s.node}, nil
}

// Environment returns the environment of the container.
func (c *Container) Environment(ctx context.Context) ([]string, error) {
	resp, err := c.node.cri.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.ID, Verbose: true})
	if err != nil {
		return nil, err
	}
	var info struct {
		RuntimeSpec struct{ Process struct{ Env []string } }
	}
	err = json.Unmarshal([]byte(resp.Info["info"]), &info)
	return info.RuntimeSpec.Process.Env, err
}

// Network is what a program in the container sees of the network: a line for
// each device with name, MTU, state and addresses.
func (c *Container) Network(ctx context.Context) (string, error) {
	const seconds = 5
	resp, err := c.node.cri.ExecSync(ctx, &cri.ExecSyncRequest{
		ContainerId: c.ID, Cmd: []string{"/pause", "net"}, Timeout: seconds,
	})
	if err != nil {
		return "", err
	}
	if resp.ExitCode != 0 {
		return "", fmt.Errorf("pause net: exit %d: %s", resp.ExitCode, resp.Stderr)
	}
	return string(resp.Stdout), nil
}
