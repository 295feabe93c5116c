package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

var (
	//go:embed setup.sh
	setupScript string
	//go:embed kubelet.yaml
	kubeletConfig string
)

const (
	folder     = "/run/kubernetes"
	nodeName   = "node"
	nodeIP     = "192.0.2.2" // node's eth0
	kubeconfig = folder + "/admin.kubeconfig"
	server     = "https://127.0.0.1:6443"
)

// Cluster is a Kubernetes of one node.
type Cluster struct {
	*node.Node
	program string // of tests/tools/kubernetes
	logs    map[string]*logFile
	kubelet *node.Process
}

// Start makes a node, a cluster on it, and waits until that can run pods.
func Start(ctx context.Context, opts node.Options) (*Cluster, error) {
	program, err := node.Tool("kubernetes")
	if err != nil {
		return nil, err
	}
	n, err := node.Start(ctx, opts)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Node: n, program: program, logs: map[string]*logFile{}}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: %w\n%s", err, c.Logs()), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if _, err := c.Output("sh", "-c", setupScript, "setup", c.Cgroup(), nodeName); err != nil {
		return err
	}
	if err := c.writeFiles(); err != nil {
		return err
	}
	for _, args := range controlPlane() {
		if _, err := c.run(c.Node, args[0], args); err != nil {
			return err
		}
	}
	if err := c.await(ctx, "get", "--raw", "/readyz"); err != nil {
		return err
	}
	if err := c.StartKubelet(); err != nil {
		return err
	}
	if err := c.await(ctx, "wait", "--for=condition=Ready", "node/"+nodeName, "--timeout=1s"); err != nil {
		return err
	}
	return c.await(ctx, "get", "serviceaccount", "default")
}

// controlPlane are the programs of a control plane, without authentication of
// one another that a cluster of one node could do without.
func controlPlane() [][]string {
	key := folder + "/service-account.key"
	return [][]string{
		{"etcd", "--data-dir", folder + "/etcd", "--unsafe-no-fsync", "--log-level=warn"},
		{
			"kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", "--advertise-address=" + nodeIP,
			"--endpoint-reconciler-type=none", "--token-auth-file=" + folder + "/tokens.csv", "--authorization-mode=Node,RBAC",
			"--allow-privileged", "--cert-dir=" + folder + "/apiserver", "--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + key, "--service-account-signing-key-file=" + key, "--service-cluster-ip-range=10.96.0.0/16",
		},
		{
			"kube-controller-manager", "--kubeconfig=" + kubeconfig, "--leader-elect=false", "--cert-dir=" + folder + "/controller-manager",
			"--root-ca-file=" + folder + "/apiserver/apiserver.crt", "--service-account-private-key-file=" + key,
		},
		{"kube-scheduler", "--kubeconfig=" + kubeconfig, "--leader-elect=false", "--cert-dir=" + folder + "/scheduler"},
	}
}

// StartKubelet starts the kubelet, which must not be running.
func (c *Cluster) StartKubelet() (err error) {
	c.kubelet, err = c.run(c.Node, "kubelet", kubeletArgs(nodeName, nodeIP))
	return err
}

func kubeletArgs(name, ip string) []string {
	return []string{
		"kubelet", "--config=" + folder + "/kubelet.yaml", "--kubeconfig=" + folder + "/kubelet.kubeconfig", "--root-dir=/var/lib/kubelet",
		"--cert-dir=" + folder + "/kubelet", "--node-ip=" + ip, "--hostname-override=" + name,
	}
}

// KillKubelet kills the kubelet.
func (c *Cluster) KillKubelet() error {
	return kill(c.kubelet)
}

func kill(kubelet *node.Process) error {
	if err := kubelet.Signal(os.Kill); err != nil {
		return fmt.Errorf("kill kubelet: %w", err)
	}
	_ = kubelet.Wait() // an error by nature: killed
	return nil
}

// run starts one of the program's programs on a node.
func (c *Cluster) run(n *node.Node, logName string, args []string) (*node.Process, error) {
	cmd := exec.Command(c.program, args...)
	cmd.Env = append(os.Environ(), "HOME="+folder)
	log := &logFile{}
	c.logs[logName] = log
	cmd.Stdout, cmd.Stderr = log, log
	return n.Run(cmd)
}

func (c *Cluster) writeFiles() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	files := map[string]string{
		"service-account.key": key,
		"tokens.csv": "admin,admin,admin,system:masters\nkubelet,system:node:" + nodeName + ",kubelet,system:nodes\n" +
			"kubelet2,system:node:" + secondName + ",kubelet2,system:nodes\n",
		"admin.kubeconfig":   kubeconfigOf(server, "admin"),
		"kubelet.kubeconfig": kubeconfigOf(server, "kubelet"),
		"kubelet.yaml":       strings.Replace(kubeletConfig, "CGROUP", c.Cgroup(), 1),
	}
	return write(c.Node, files)
}

// write writes files into the folder of Kubernetes on a node.
func write(n *node.Node, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(n.Path(filepath.Join(folder, name)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func newKey() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), err
}

// kubeconfigOf is that of a user with a token. The server's certificate is its own.
func kubeconfigOf(server, token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`, server, token)
}

// Kubectl runs kubectl with an input, and returns what it prints.
func (c *Cluster) Kubectl(input string, args ...string) (string, error) {
	cmd := exec.Command(c.program, append([]string{"kubectl", "--kubeconfig=" + kubeconfig}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+folder)
	var out logFile
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &out
	p, err := c.Run(cmd)
	if err != nil {
		return "", err
	}
	if err := p.Wait(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// await repeats kubectl until it is content.
func (c *Cluster) await(ctx context.Context, args ...string) error {
	const patience, pause = 3 * time.Minute, 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		_, err := c.Kubectl("", args...)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
