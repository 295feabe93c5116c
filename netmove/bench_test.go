package netmove_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// BenchmarkPlan is what is decided about three devices with everything a pod may ask for.
func BenchmarkPlan(b *testing.B) {
	f := newFixture()
	requests := threeRequests()
	devices := make([]netmove.Device, len(requests))
	for i, r := range requests {
		var err error
		if devices[i], err = netmove.Read(f.host, r.Device); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := netmove.NewPlan(requests, devices); err != nil {
			b.Fatal(err)
		}
	}
}
