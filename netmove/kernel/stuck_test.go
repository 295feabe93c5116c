package kernel_test

import (
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// A request that does not end is told of, and one that does is not.
func TestStuck(t *testing.T) {
	ns := nstest.New(t)
	stuck := make(chan string, 10)
	k, err := kernel.Linux{Patience: 200 * time.Millisecond, Stuck: func(what string) { stuck <- what }}.Open(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}()
	release := nstest.HoldRTNL(t)
	defer release()
	done := make(chan error, 1)
	go func() { done <- k.SetUp(1, true) }()
	if what := <-stuck; what != "a netlink request" {
		t.Errorf("%q is stuck", what)
	}
	select {
	case err := <-done:
		t.Errorf("the kernel has answered: %v", err)
	default:
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
