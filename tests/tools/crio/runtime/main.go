// Runtime is runc for a machine whose root lacks CAP_SYS_RESOURCE, as containers
// often do: it takes out of a container's spec what cannot be done without.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "runtime:", err)
		os.Exit(1)
	}
}

func run() error {
	if bundle := bundleOf(os.Args); bundle != "" {
		if err := edit(filepath.Join(bundle, "config.json")); err != nil {
			return err
		}
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return err
	}
	return syscall.Exec(runc, append([]string{"runc"}, os.Args[1:]...), os.Environ())
}

// bundleOf is the folder of the container that is created, "" for another command.
func bundleOf(args []string) string {
	if !slices.Contains(args, "create") {
		return ""
	}
	for i, arg := range args {
		if dir, ok := strings.CutPrefix(arg, "--bundle="); ok {
			return dir
		}
		if (arg == "--bundle" || arg == "-b") && i+1 < len(args) {
			return args[i+1]
		}
	}
	return "."
}

func edit(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		return err
	}
	process := object(spec, "process")
	process["oomScoreAdj"] = 0
	capabilities := object(process, "capabilities")
	for set, list := range capabilities {
		names, _ := list.([]any)
		capabilities[set] = slices.DeleteFunc(names, func(name any) bool { return name == "CAP_SYS_RESOURCE" })
	}
	delete(object(object(spec, "linux"), "resources"), "hugepageLimits")
	if data, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// object is a part of a spec, made if it is not there.
func object(in map[string]any, key string) map[string]any {
	if m, ok := in[key].(map[string]any); ok {
		return m
	}
	m := map[string]any{}
	in[key] = m
	return m
}
