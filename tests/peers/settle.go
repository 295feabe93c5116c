package main

import (
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// settle waits until the kernel is done with what earlier operations have left it to
// do: until a request that needs RTNL is answered at once, several times in a row. On
// a machine where that does not come to pass it gives up.
//
// The pauses are of random length, so that what follows begins anywhere between two
// ticks of the kernel's clock.
func (n *node) settle() error {
	const (
		enough   = 5
		atOnce   = time.Millisecond
		pause    = 4 * time.Millisecond
		patience = 2 * time.Second
	)
	runtime.GC() // so that nobody pays for another's garbage
	deadline := time.Now().Add(patience)
	for quiet := 0; quiet < enough && time.Now().Before(deadline); quiet++ {
		time.Sleep(pause + rand.N(pause))
		began := time.Now()
		// A dump would not do: it takes no RTNL since Linux 6.10.
		_, err := linkRequest(n.hostEnd.sock, unix.RTM_GETLINK, netmove.LoopbackIndex).Execute(unix.NETLINK_ROUTE, 0)
		if err != nil {
			return err
		}
		if time.Since(began) > atOnce {
			quiet = 0
		}
	}
	return nil
}
