package node

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

var (
	//go:embed config.toml
	containerdConfig string
	//go:embed config-1.7.toml
	containerd17Config string
	//go:embed cni.conflist
	cniConfig string
)

// Sockets and folders on the node.
const (
	NRISocket      = "/var/run/nri/nri.sock"
	NRIPlugins     = "/run/opt/nri/plugins" // programs that containerd launches
	NRIConfigs     = "/run/etc/nri/conf.d"  // and the configs it hands them
	criSocket      = "/run/containerd/containerd.sock"
	configFile     = "/run/etc/containerd.toml"
	moreConfigFile = "/run/etc/containerd/test.toml"
	validatorFile  = "/run/etc/containerd/validator.toml"
	cniConfigFile  = "/run/etc/cni/10-e2e.conflist"
)

// validatorConfig requires no plugin of every pod: pods ask for themselves.
const validatorConfig = `version = 3
[plugins.'io.containerd.nri.v1.nri'.default_validator]
  enable = true
`

func (n *Node) writeConfig(opts Options) error {
	files := map[string]string{configFile: containerdConfig, cniConfigFile: cniConfig}
	if opts.Runtime == Containerd17 {
		files[configFile] = containerd17Config
	}
	if opts.Config != "" {
		files[moreConfigFile] = "version = 3\n" + opts.Config
	}
	if opts.Validator {
		files[validatorFile] = validatorConfig
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(n.Path(path)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(n.Path(path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// StartRuntime starts the runtime, which must not be running, and waits
// until it can run pods. Pods of its predecessor are still there.
func (n *Node) StartRuntime(ctx context.Context) error {
	cmd := exec.Command(n.program, "--config", configFile)
	if n.crio {
		cmd = n.crioCommand()
	}
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(n.program)+":"+n.tools+":"+os.Getenv("PATH")) // the shim is found there
	// A file, not a pipe: shims keep it open, and Wait would wait for them.
	cmd.Stdout, cmd.Stderr = n.log, n.log
	var err error
	if n.runtime, err = n.Run(cmd); err != nil {
		return err
	}
	return n.awaitRuntime(ctx)
}

func (n *Node) awaitRuntime(ctx context.Context) error {
	const patience, pause = 2 * time.Minute, 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		notReady := n.cri.ready(ctx)
		if notReady == nil {
			return nil
		}
		select {
		case <-n.runtime.Done():
			return fmt.Errorf("the runtime ended: %w\n%s", n.runtime.Wait(), n.Log())
		case <-ctx.Done():
			return fmt.Errorf("the runtime is not ready: %w\n%s", notReady, n.Log())
		case <-time.After(pause):
		}
	}
}

// KillRuntime kills the runtime and leaves the pods without it.
func (n *Node) KillRuntime() error {
	if err := n.runtime.Signal(os.Kill); err != nil {
		return fmt.Errorf("kill the runtime: %w", err)
	}
	_ = n.runtime.Wait() // an error by nature: killed
	return nil
}

// RestartRuntime kills the runtime and starts it again.
func (n *Node) RestartRuntime(ctx context.Context) error {
	if err := n.KillRuntime(); err != nil {
		return err
	}
	return n.StartRuntime(ctx)
}

// Log is what the runtime and the shims have logged.
func (n *Node) Log() string {
	text, err := io.ReadAll(io.NewSectionReader(n.log, 0, math.MaxInt64))
	if err != nil {
		return fmt.Sprintf("%s(%v)\n", text, err)
	}
	return string(text)
}

// openLog makes a file without a name, which goes with its descriptors.
func openLog() (*os.File, error) {
	f, err := os.CreateTemp("", "containerd-log-*")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
