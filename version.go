package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker: -ldflags "-X main.release=v1.2.3".
var release string

const nriModule = "github.com/containerd/nri"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version, commit, and the versions of Go and NRI",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "nri-netdev %s\n", version())
			fmt.Fprintf(out, "commit     %s\n", commit())
			fmt.Fprintf(out, "go         %s\n", runtime.Version())
			fmt.Fprintf(out, "nri        %s\n", nriVersion())
			return nil
		},
	}
}

func version() string {
	if release != "" {
		return release
	}
	return "devel"
}

// commit is what the go command recorded of the source it built from.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	rev := settings["vcs.revision"]
	if rev == "" {
		return "unknown"
	}
	if settings["vcs.modified"] == "true" {
		rev += " (modified)"
	}
	return rev
}

func nriVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == nriModule {
			return m.Version
		}
	}
	return "unknown"
}
