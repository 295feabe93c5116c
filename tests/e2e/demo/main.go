// Demo runs the main job on a real containerd and shows it as a person would
// want to see it: host and pod before, during and after.
//
//	demo PROGRAM    with PROGRAM a built nri-netdev
//
// All of it happens on a node of its own, made of namespaces. Nothing of it is
// left behind.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

var (
	//go:embed node.yaml
	nodeConfig string

	//go:embed pod.yaml
	podManifest string

	//go:embed greedy.yaml
	greedyManifest string
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: demo PROGRAM")
		os.Exit(2)
	}
	if err := run(ctx, os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, program string) (err error) {
	program, err = filepath.Abs(program)
	if err != nil {
		return err
	}
	began := time.Now()
	n, err := node.Start(ctx, node.Options{})
	if err != nil {
		return err
	}
	d := &demo{Node: n, out: out, program: program}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, d.logs.String())
		}
		err = errors.Join(err, n.Close())
	}()
	if err := d.show(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nDone in %.1f s; the node is gone, and nothing of it is left.\n", time.Since(began).Seconds())
	return nil
}

type demo struct {
	*node.Node
	out     io.Writer
	program string
	logs    syncBuffer
}

// show is the demonstration. It fails if what it shows is not so.
func (d *demo) show(ctx context.Context) error {
	d.title("A node with containerd, and two NICs that a pod may have")
	if err := d.makeDevices(); err != nil {
		return err
	}
	before, err := d.showHost()
	if err != nil {
		return err
	}
	d.title("The node's owner allows them to namespace telco; nothing moves by default")
	d.quote("/etc/nri-netdev/config.yaml", nodeConfig)
	if err := d.startPlugin(ctx); err != nil {
		return err
	}
	d.title("A pod asks for them")
	d.quote("pod.yaml", podManifest)
	if err := d.check(); err != nil {
		return err
	}
	pod, err := d.runPod(ctx)
	if err != nil {
		return err
	}
	if err := d.showRefusal(ctx); err != nil {
		return err
	}
	d.title("The pod ends, and the host has its devices as they were")
	if err := pod.Stop(ctx); err != nil {
		return err
	}
	if err := pod.Remove(ctx); err != nil {
		return err
	}
	after, err := d.showHost()
	if err != nil {
		return err
	}
	if before != after {
		return errors.New("the host is not as before")
	}
	return nil
}

// makeDevices makes two NICs, with addresses of both families. Their other
// ends are in the network that the node is attached to.
func (d *demo) makeDevices() error {
	const script = `
for i in 0 1; do
	ip link add enp2s2f$i address 02:00:00:00:02:0$i type veth peer name port$i netns /run/network
	nsenter --net=/run/network ip link set port$i up
	ip link set enp2s2f$i up
	ip address add 203.0.113.1$i/24 dev enp2s2f$i
	ip address add 2001:db8:$i::1/64 dev enp2s2f$i nodad
done
ip link set enp2s2f0 mtu 9000
mkdir -p /run/etc/nri-netdev
cat > /run/etc/nri-netdev/config.yaml
`
	cmd := exec.Command("sh", "-euc", script)
	cmd.Stdin = strings.NewReader(nodeConfig)
	cmd.Stderr = &d.logs
	p, err := d.Run(cmd)
	if err != nil {
		return err
	}
	return p.Wait()
}

// showHost prints the host's NICs with the properties a person looks at.
func (d *demo) showHost() (string, error) {
	var b strings.Builder
	for _, name := range []string{"eth0", "enp2s2f0", "enp2s2f1"} {
		out, err := d.Output("sh", "-c", "ip -br addr show dev "+name+" scope global 2>/dev/null || true")
		if err != nil {
			return "", err
		}
		b.WriteString(out)
	}
	if b.Len() == 0 {
		return "", errors.New("the host has no devices")
	}
	d.printed("host", "ip -br addr", b.String())
	return b.String(), nil
}

func (d *demo) startPlugin(ctx context.Context) error {
	cmd := exec.Command(d.program, "run", "--config", "/run/etc/nri-netdev/config.yaml")
	cmd.Stdout, cmd.Stderr = &d.logs, &d.logs
	if _, err := d.Run(cmd); err != nil {
		return err
	}
	return d.await(ctx, "msg=registered")
}

func (d *demo) await(ctx context.Context, line string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !strings.Contains(d.logs.String(), line) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the plugin did not log %q", line)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// check shows what would happen, before it does.
func (d *demo) check() error {
	var out strings.Builder
	cmd := exec.Command(d.program, "check", "--config", "/run/etc/nri-netdev/config.yaml", "-")
	cmd.Stdin = strings.NewReader(podManifest)
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := d.Run(cmd)
	if err != nil {
		return err
	}
	err = p.Wait()
	d.printed("host", "nri-netdev check - < pod.yaml", strings.ReplaceAll(out.String(), "/run/etc/", "/etc/"))
	return err
}

// runPod runs the pod and shows the host without the devices, and the pod's
// container with them.
func (d *demo) runPod(ctx context.Context) (*node.Sandbox, error) {
	d.title("The pod runs: the devices are in it, and gone from the host")
	pod, err := d.RunPod(ctx, podOf(podManifest))
	if err != nil {
		return nil, err
	}
	c, err := pod.RunContainer(ctx, "main")
	if err != nil {
		return nil, err
	}
	if _, err := d.showHost(); err != nil {
		return nil, err
	}
	path, err := pod.Netns(ctx)
	if err != nil {
		return nil, err
	}
	out, err := d.Output("nsenter", "--net="+path, "ip", "-br", "addr", "show", "scope", "global")
	if err != nil {
		return nil, err
	}
	d.printed("pod worker-0", "ip -br addr", out)
	inside, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	for _, want := range []string{"net1 mtu 9000", "203.0.113.10/24", "2001:db8::1/64", "net2 mtu 1500", "192.0.2.5/24"} {
		if !strings.Contains(inside, want) {
			return nil, fmt.Errorf("the container does not see %s:\n%s", want, inside)
		}
	}
	return pod, nil
}

// showRefusal shows what a pod reads that wants what another one has.
func (d *demo) showRefusal(ctx context.Context) error {
	d.title("A second pod wants one of them: it does not start, and is told why")
	_, err := d.RunPod(ctx, podOf(greedyManifest))
	if err == nil {
		return errors.New("the second pod started")
	}
	text := err.Error()
	if i := strings.LastIndex(text, "desc = "); i >= 0 {
		text = text[i+len("desc = "):]
	}
	fmt.Fprintf(d.out, "\nthe kubelet is told, and puts it into the pod's events:\n  %s\n", text)
	return nil
}

// podOf reads a manifest as far as the demo needs it.
func podOf(manifest string) node.Pod {
	var m struct {
		Metadata struct {
			Name, Namespace string
			Annotations     map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(manifest), &m); err != nil {
		panic(err) // it is embedded
	}
	return node.Pod{Name: m.Metadata.Name, Namespace: m.Metadata.Namespace, Annotations: m.Metadata.Annotations}
}

func (d *demo) title(text string) { fmt.Fprintf(d.out, "\n# %s\n", text) }

func (d *demo) printed(where, command, output string) {
	fmt.Fprintf(d.out, "\n%s$ %s\n", where, command)
	for line := range strings.Lines(output) {
		fmt.Fprintln(d.out, strings.TrimRight(line, " \n"))
	}
}

func (d *demo) quote(name, text string) {
	fmt.Fprintf(d.out, "\n%s:\n", name)
	for line := range strings.Lines(text) {
		fmt.Fprint(d.out, "  ", line)
	}
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
