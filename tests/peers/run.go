package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// run runs a program to its end, and tells what it said if it fails.
func run(stdin, name string, args ...string) error {
	return runCommand(stdin, exec.Command(name, args...))
}

func runCommand(stdin string, cmd *exec.Cmd) error {
	cmd.Stdin = strings.NewReader(stdin)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(said))
	}
	return nil
}
