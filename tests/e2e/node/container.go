package node

import (
	"context"
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
// newer than Debian 12's; the pod itself does without.
func (s *Sandbox) RunContainer(ctx context.Context, name string) (*Container, error) {
	created, err := s.node.cri.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId:  s.ID,
		SandboxConfig: s.config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name},
			Image:    &cri.ImageSpec{Image: image, UserSpecifiedImage: image},
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
