package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// toolsEnv names the folder of containerd's programs.
const toolsEnv = "NRI_NETDEV_BIN"

// Check tells what a node needs and this machine does not have.
func Check() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root")
	}
	_, err := findTools()
	errs := []error{err}
	for _, name := range []string{"ip", "nsenter", "unshare", "runc"} {
		_, err := exec.LookPath(name)
		errs = append(errs, err)
	}
	for _, name := range []string{"bridge", "host-local", "loopback"} {
		_, err := findCNIPlugin(name)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// findTools finds containerd's programs: where NRI_NETDEV_BIN says, or in the
// repository that the working folder is in.
func findTools() (string, error) {
	if dir := os.Getenv(toolsEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		tools := filepath.Join(dir, ".cache", "bin")
		if _, err := os.Stat(filepath.Join(tools, "containerd")); err == nil {
			return tools, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no .cache/bin/containerd here or above: run tests/setup, or set %s", toolsEnv)
		}
	}
}

// Tool is a program that tests/setup has built.
func Tool(name string) (string, error) {
	tools, err := findTools()
	if err != nil {
		return "", err
	}
	path := filepath.Join(tools, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run tests/setup %s", err, name)
	}
	return path, nil
}

// findRuntime finds a runtime.
func findRuntime(tools, name string) (string, error) {
	program := filepath.Join(tools, name, "containerd")
	if name == CRIO {
		program = filepath.Join(tools, name, "crio")
	}
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("%w: run tests/setup containerds crio", err)
	}
	return program, nil
}

// findCNIPlugin looks in the folders where Debian and others keep them, as config.toml
// does, and returns the one that has it.
func findCNIPlugin(name string) (dir string, err error) {
	dirs := []string{"/usr/lib/cni", "/opt/cni/bin"}
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no CNI plugin %s in %v", name, dirs)
}
