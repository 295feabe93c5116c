package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// The same for CRI-O, where that is what is tested.
func TestCRIOConfig(t *testing.T) {
	t.Parallel()
	if os.Getenv(runtimeEnv) != node.CRIO {
		t.Skip("make test-crio runs it")
	}
	program, err := node.Tool("crio/crio")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../../manifests/host/crio-nri.conf")
	if err != nil {
		t.Fatal(err)
	}
	// It is on by default, so what shows that the file is read is its opposite; and a
	// folder of its own keeps others out of the machine's.
	dir := t.TempDir()
	off := strings.Replace(string(data), "enable_nri = true", "enable_nri = false", 1) +
		"[crio.image]\nsignature_policy_dir = \"" + dir + "\"\nnamespaced_auth_dir = \"" + dir + "\"\n"
	file := filepath.Join(dir, "crio.conf")
	if err := os.WriteFile(file, []byte(off), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "--config="+file, "--config-dir=", "config").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nenable_nri = false") {
		t.Errorf("%v: %s", err, out)
	}
}

// Files for systemd and NetworkManager have sections with settings, and the service
// starts what the other files say is there.
func TestShippedHostFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../manifests/host/*nri-netdev*")
	if err != nil || len(files) != 3 {
		t.Fatalf("%q, %v", files, err)
	}
	line := regexp.MustCompile(`^(\[[A-Za-z-]+\]|[A-Za-z-]+=.+|#.*|)$`)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for n, text := range strings.Split(string(data), "\n") {
			if !line.MatchString(text) {
				t.Errorf("%s:%d: %s", file, n+1, text)
			}
		}
		if filepath.Ext(file) == ".service" && !strings.Contains(string(data), "\nExecStart=/usr/local/bin/nri-netdev run\n") {
			t.Errorf("%s does not start the program", file)
		}
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
