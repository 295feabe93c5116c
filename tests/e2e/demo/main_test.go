package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The README shows what the demo prints, and nothing else.
func TestREADMEShowsTheDemo(t *testing.T) {
	program := filepath.Join(t.TempDir(), "nri-netdev")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := run(t.Context(), &out, program); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```console\n$ make demo\n")
	shown, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("the README has no transcript of make demo")
	}
	if diff := cmp.Diff(normal(shown), normal(out.String())); diff != "" {
		t.Errorf("README (-) and demo (+) differ:\n%s", diff)
	}
}

// normal replaces what differs from run to run.
func normal(transcript string) string {
	return regexp.MustCompile(`[0-9.]+ s;`).ReplaceAllString(transcript, "N s;")
}
