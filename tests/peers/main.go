package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
)

// The main thread stays with the main goroutine: on another goroutine's it could be
// inside the pod's namespace while somebody opens /proc/self/ns/net, which is the
// main thread's.
func init() { runtime.LockOSThread() }

func main() {
	args := os.Args[1:]
	do := measure
	if len(args) > 0 && args[0] == "plot" {
		do, args = drawFiles, args[1:]
	}
	done := make(chan error)
	go func() { done <- do(args) }()
	switch err := <-done; {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}
