package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set by the linker, see the Makefile.
//
//nolint:gochecknoglobals // there is no other way for a linker
var (
	release  string // such as v1.2.3
	revision string // commit; "" leaves it to what the go command recorded
)

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

// commit returns the commit that the program was built from.
func commit() string {
	if revision != "" {
		return revision
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
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
