package node

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// client speaks CRI, as the kubelet does. It outlives containerd's restarts.
type client struct {
	conn *grpc.ClientConn
	cri.RuntimeServiceClient
	images cri.ImageServiceClient
}

func newClient(socket string) (*client, error) {
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("CRI client: %w", err)
	}
	return &client{
		conn:                 conn,
		RuntimeServiceClient: cri.NewRuntimeServiceClient(conn),
		images:               cri.NewImageServiceClient(conn),
	}, nil
}

// ready tells whether the runtime can run pods, and if not, why.
func (c *client) ready(ctx context.Context) error {
	resp, err := c.Status(ctx, &cri.StatusRequest{})
	if err != nil {
		return err
	}
	for _, condition := range resp.Status.Conditions {
		required := condition.Type == cri.RuntimeReady || condition.Type == cri.NetworkReady
		if required && !condition.Status {
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
	}
	return nil
}

// hasImage tells whether the runtime knows the node's image.
func (c *client) hasImage(ctx context.Context) bool {
	resp, err := c.images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
	return err == nil && resp.Image != nil
}
