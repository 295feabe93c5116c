package node

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed crio.conf
var crioConfig string

const (
	crioSocket = "/run/crio/crio.sock"
	crioFolder = "/run/etc/crio"
)

// startCRIO starts CRI-O, with an image in its store.
func (n *Node) startCRIO(ctx context.Context, archive string) (err error) {
	bin := filepath.Dir(n.program)
	plugins, err := findCNIPlugin("bridge")
	if err != nil {
		return err
	}
	files := map[string]string{
		"crio.conf":   fmt.Sprintf(crioConfig, filepath.Join(bin, "runtime"), filepath.Join(bin, "pinns"), plugins),
		"policy.json": `{"default": [{"type": "insecureAcceptAnything"}]}`,
	}
	for name, text := range files {
		path := n.Path(filepath.Join(crioFolder, name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err = n.Output(filepath.Join(bin, "copyimg"), "--root=/run/lib/containers", "--runroot=/run/containers", "--storage-driver=vfs",
		"--signature-policy="+crioFolder+"/policy.json", "--import-from=docker-archive:"+archive, "--image-name="+image)
	if err != nil {
		return err
	}
	if n.cri, err = newClient(n.Path(crioSocket)); err != nil {
		return err
	}
	return n.StartRuntime(ctx)
}

func (n *Node) crioCommand() *exec.Cmd {
	return exec.Command(n.program, "--config="+crioFolder+"/crio.conf", "--config-dir=")
}
