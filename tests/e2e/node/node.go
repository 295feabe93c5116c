package node

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

//go:embed init.sh
var initScript string

// Options are what a node can be asked for. The zero value is a plain node.
type Options struct {
	// Config is TOML that containerd merges over the node's own config.
	Config string

	// Runtime is the one to run: "" for the newest containerd as it is, or one of
	// the constants.
	Runtime string

	// Validator switches on NRI's default validator, which refuses containers
	// of pods that RequirePlugin asks a plugin for that is not there.
	Validator bool
}

// Other runtimes than the newest containerd as it is.
const (
	NRI0125      = "nri-0.12.5" // containerd with an NRI that has failure policies
	Containerd17 = "1.7"        // the oldest containerd that is supported
	CRIO         = "crio"
)

// Node is a machine made of namespaces. Its methods may be called by several
// goroutines, but for Close.
type Node struct {
	pid1    *exec.Cmd
	input   io.Closer      // of pid 1, which ends with it
	running sync.WaitGroup // processes started with Run

	tools   string   // folder of programs that were built
	program string   // the runtime's
	crio    bool     // it is CRI-O
	runtime *Process // nil before its first start
	log     *os.File // the runtime's, and the shims'
	cri     *client
	cgroup  string // parent of all pods' cgroups
}

// Start makes a node and starts the runtime in it.
func Start(ctx context.Context, opts Options) (*Node, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	tools, err := findTools()
	if err != nil {
		return nil, err
	}
	archive, err := buildImage(ctx, filepath.Dir(tools))
	if err != nil {
		return nil, fmt.Errorf("pause image: %w", err)
	}
	program, err := findRuntime(tools, opts.Runtime)
	if err != nil {
		return nil, err
	}
	n := &Node{tools: tools, program: program, crio: opts.Runtime == CRIO, cgroup: newCgroupName()}
	if err := n.start(ctx, opts, archive); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), n.Close())
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, opts Options, archive string) error {
	removeStaleCgroups()
	if err := n.boot(); err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	if err := n.writeConfig(opts); err != nil {
		return err
	}
	var err error
	if n.log, err = openLog(); err != nil {
		return err
	}
	if n.crio {
		return n.startCRIO(ctx, archive)
	}
	if n.cri, err = newClient(n.Path(criSocket)); err != nil {
		return err
	}
	if err := n.StartRuntime(ctx); err != nil {
		return err
	}
	return n.importImage(ctx, archive)
}

// boot starts pid 1 and waits until it has made the machine.
func (n *Node) boot() error {
	n.pid1 = exec.Command("sh", "-c", initScript)
	n.pid1.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	var stderr strings.Builder
	n.pid1.Stderr = &stderr
	input, err := n.pid1.StdinPipe()
	if err != nil {
		return err
	}
	output, err := n.pid1.StdoutPipe()
	if err != nil {
		return err
	}
	if err := n.pid1.Start(); err != nil {
		return err
	}
	if line, _ := bufio.NewReader(output).ReadString('\n'); line != "ready\n" {
		return fmt.Errorf("pid 1: %w: %s", n.pid1.Wait(), stderr.String())
	}
	n.input = input
	return nil
}

// PID is the node's pid 1 as the caller sees it.
func (n *Node) PID() int { return n.pid1.Process.Pid }

// Cgroup is the name of the cgroup that holds those of all pods.
func (n *Node) Cgroup() string { return n.cgroup }

// Path is a file of the node as the caller sees it.
func (n *Node) Path(path string) string {
	// /var/run is an absolute link, which would lead to the caller's own /run.
	if rest, ok := strings.CutPrefix(path, "/var/run/"); ok {
		path = "/run/" + rest
	}
	return n.proc("root" + path)
}

// Netns is the node's network namespace as a path for the caller.
func (n *Node) Netns() string { return n.proc("ns/net") }

func (n *Node) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(n.PID()), name)
}

// Close ends all that runs on the node, and the node.
func (n *Node) Close() error {
	var errs []error
	if n.cri != nil {
		errs = append(errs, n.cri.conn.Close())
	}
	if n.input != nil {
		n.input.Close() // the end of pid 1, and with it of every process
		n.running.Wait()
		errs = append(errs, n.pid1.Wait())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(append(errs, removeCgroup(n.cgroup))...)
}

// Import gives the runtime an image, from an archive.
func (n *Node) Import(archive string) error {
	ctr := filepath.Join(filepath.Dir(n.program), "ctr")
	if _, err := os.Stat(ctr); err != nil {
		ctr = filepath.Join(n.tools, "ctr")
	}
	_, err := n.Output(ctr, "--namespace=k8s.io", "images", "import", archive)
	return err
}
