package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// hintError is an error with advice for the person at the terminal.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

func withHint(err error, hint string) error { return &hintError{err, hint} }

// printError writes an error, and its hint if it has one.
func printError(w io.Writer, err error) {
	text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n  ")
	fmt.Fprintf(w, "nri-netdev: error: %s\n", text)
	if h, ok := errors.AsType[*hintError](err); ok {
		fmt.Fprintf(w, "nri-netdev: hint: %s\n", h.hint)
	}
}
