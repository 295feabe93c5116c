// Pause is the only program of the only image of a node. It waits for its
// end; pause net prints what network devices it sees, and ends.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "net" {
		if err := printNetwork(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}

// printNetwork prints a line for each device: name, MTU, state, addresses.
func printNetwork() error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, link := range links {
		fmt.Printf("%s mtu %d %s", link.Name, link.MTU, link.Flags)
		addrs, err := link.Addrs()
		if err != nil {
			return err
		}
		for _, addr := range addrs {
			fmt.Printf(" %s", addr)
		}
		fmt.Println()
	}
	return nil
}
