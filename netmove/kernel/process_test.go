package kernel_test

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
)

func TestWhenEnded(t *testing.T) {
	start := func() *exec.Cmd {
		cmd := exec.Command("sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	end := func(cmd *exec.Cmd) {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	watched, unwatched := start(), start()
	ended := make(chan string)
	stop, err := kernel.Linux{}.WhenEnded(watched.Process.Pid, func() { ended <- "watched" })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	stopEarly, err := kernel.Linux{}.WhenEnded(unwatched.Process.Pid, func() { ended <- "unwatched" })
	if err != nil {
		t.Fatal(err)
	}
	stopEarly()
	end(unwatched)
	select {
	case who := <-ended:
		t.Fatalf("%s has ended too early", who)
	default:
	}
	end(watched)
	if who := <-ended; who != "watched" {
		t.Errorf("%s has ended", who)
	}
	if _, err := (kernel.Linux{}).WhenEnded(watched.Process.Pid, nil); !errors.Is(err, netmove.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}
