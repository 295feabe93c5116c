package cluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// The second node of a cluster, on the first one's network.
const (
	secondName = "node2"
	secondIP   = "192.0.2.3"
)

// Second is the second node of a cluster. It ends before the first.
type Second struct {
	*node.Node
	cluster *Cluster
	kubelet *node.Process
}

// Join makes the second node, and waits until it can run pods.
func (c *Cluster) Join(ctx context.Context, opts node.Options) (*Second, error) {
	n, err := node.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	s := &Second{Node: n, cluster: c}
	if err := s.join(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("join: %w\n%s", err, c.Logs()), n.Close())
	}
	return s, nil
}

func (s *Second) join(ctx context.Context) error {
	if _, err := s.Output("sh", "-c", setupScript, "setup", s.Cgroup(), secondName); err != nil {
		return err
	}
	if err := s.cable(); err != nil {
		return err
	}
	files := map[string]string{
		"kubelet.kubeconfig": kubeconfigOf("https://"+nodeIP+":6443", "kubelet2"),
		"kubelet.yaml":       strings.Replace(kubeletConfig, "CGROUP", s.Cgroup(), 1),
	}
	if err := write(s.Node, files); err != nil {
		return err
	}
	if err := s.StartKubelet(); err != nil {
		return err
	}
	return s.cluster.await(ctx, "wait", "--for=condition=Ready", "node/"+secondName, "--timeout=1s")
}

// cable connects the two networks by a bridge, and gives the node its address.
func (s *Second) cable() error {
	network, own := s.cluster.Path("/run/network"), s.Path("/run/network")
	for _, args := range [][]string{
		{"--net=" + network, "ip", "link", "add", "bridge", "type", "bridge"},
		{"--net=" + network, "ip", "link", "set", "bridge", "up"},
		{"--net=" + network, "ip", "link", "set", "node", "master", "bridge"},
		{"--net=" + own, "ip", "link", "set", "node", "name", secondName, "netns", network},
		{"--net=" + network, "ip", "link", "set", secondName, "up", "master", "bridge"},
	} {
		if out, err := exec.Command("nsenter", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	// The API server finds the kubelet by the node's name.
	if _, err := s.cluster.Output("sh", "-c", "echo "+secondIP+" "+secondName+" >>/etc/hosts"); err != nil {
		return err
	}
	_, err := s.Output("sh", "-ec", "ip addr flush dev eth0; ip addr add "+secondIP+"/24 dev eth0; ip route add default via 192.0.2.1")
	return err
}

// StartKubelet starts the kubelet, which must not be running.
func (s *Second) StartKubelet() (err error) {
	s.kubelet, err = s.cluster.run(s.Node, "kubelet of "+secondName, kubeletArgs(secondName, secondIP))
	return err
}

// KillKubelet kills the kubelet.
func (s *Second) KillKubelet() error { return kill(s.kubelet) }

// ServeAPI has pods of a node reach the API server at its service's address, as kube-proxy does.
func ServeAPI(n *node.Node) error {
	_, err := n.Output("sh", "-ec", "sysctl -qw net.ipv4.ip_forward=1\n"+
		"iptables -t nat -A PREROUTING -d 10.96.0.1 -p tcp --dport 443 -j DNAT --to-destination "+nodeIP+":6443\n"+
		"iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE")
	return err
}
