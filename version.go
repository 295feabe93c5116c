package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/nri-netdev/nri-netdev/plugin/program"
)

const nriModule = "github.com/containerd/nri"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version, commit, and the versions of Go and NRI",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "nri-netdev %s\n", program.Version())
			fmt.Fprintf(out, "commit     %s\n", program.Commit())
			fmt.Fprintf(out, "go         %s\n", runtime.Version())
			fmt.Fprintf(out, "nri        %s\n", nriVersion())
			return nil
		},
	}
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
