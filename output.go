package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// output is how a command prints its data.
type output string

func (o *output) flag(cmd *cobra.Command) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", "table", "table or json")
}

// print writes data as JSON, or calls table.
func (o *output) print(out io.Writer, data any, table func(io.Writer) error) error {
	switch *o {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(data)
	case "table":
		return table(out)
	}
	return fmt.Errorf("-o %q: want table or json", *o)
}
