package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/tests/e2e/node"
)

// What is shipped for containerd's config is read by the containerd that it is for.
func TestShippedContainerdConfigs(t *testing.T) {
	t.Parallel()
	for file, tc := range map[string]struct{ program, want string }{
		"containerd-nri.toml":       {"1.7/containerd", "disable = false"},
		"containerd-validator.toml": {"containerd", "enable = true"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			program, err := node.Tool(tc.program)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(program, "--config", filepath.Join("../../manifests/host", file), "config", "dump").CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			_, nri, _ := strings.Cut(string(out), "io.containerd.nri.v1.nri")
			nri, _, _ = strings.Cut(nri, "\n\n  [plugins.")
			if !strings.Contains(nri, tc.want) {
				t.Errorf("no %q in\n%s", tc.want, nri)
			}
		})
	}
}

// Every manifest is YAML, with no field twice. Those of Kubernetes are applied by the
// tests of package cluster.
func TestShippedManifests(t *testing.T) {
	t.Parallel()
	found := 0
	err := filepath.WalkDir("../../manifests", func(path string, entry os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		found++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for doc := range strings.SplitSeq(string(data), "\n---\n") {
			var object map[string]any
			if err := yaml.UnmarshalStrict([]byte(doc), &object); err != nil || len(object) == 0 {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("%d manifests, %v", found, err)
	}
}
