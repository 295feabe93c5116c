package sandbox

import (
	"errors"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// devicesOf is a plan of n devices with that driver.
func devicesOf(driver string, n int) netmove.Plan {
	plan := make(netmove.Plan, n)
	for i := range plan {
		plan[i].Before.Identity.Driver = driver
	}
	return plan
}

func TestEstimate(t *testing.T) {
	type attach struct {
		driver  string
		devices int
		took    time.Duration
	}
	const left = 1700 * time.Millisecond
	for _, tc := range []struct {
		name     string
		measured []attach
		driver   string
		devices  int
		fits     bool
	}{
		{"nothing is known", nil, "mlx5", 64, true},
		{"it fits", []attach{{"mlx5", 1, 100 * time.Millisecond}}, "mlx5", 17, true},
		{"it cannot fit", []attach{{"mlx5", 1, 100 * time.Millisecond}}, "mlx5", 18, false},
		{"measured on several", []attach{{"mlx5", 10, time.Second}}, "mlx5", 18, false},
		{"one slow attach", []attach{{"mlx5", 1, 9 * time.Second}, {"mlx5", 1, 100 * time.Millisecond}}, "mlx5", 16, true},
		{"many slow attaches", []attach{{"mlx5", 1, 100 * time.Millisecond}, {"mlx5", 1, 9 * time.Second}, {"mlx5", 1, 9 * time.Second}}, "mlx5", 16, true},
		{"another driver's", []attach{{"ice", 1, 9 * time.Second}}, "mlx5", 16, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var e estimate
			for _, m := range tc.measured {
				e.measured(devicesOf(m.driver, m.devices), m.took)
			}
			err := e.fits(devicesOf(tc.driver, tc.devices), left)
			if (err == nil) != tc.fits || (err != nil && !errors.Is(err, ErrTooMany)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A plan of unlike devices teaches nothing, and takes as long as its parts.
func TestEstimateOfUnlikeDevices(t *testing.T) {
	var e estimate
	mixed := append(devicesOf("ice", 1), devicesOf("mlx5", 1)...)
	e.measured(mixed, time.Hour)
	if err := e.fits(mixed, time.Second); err != nil {
		t.Error(err)
	}
	e.measured(devicesOf("ice", 1), 2*time.Second)
	e.measured(devicesOf("mlx5", 1), time.Second)
	if err := e.fits(mixed, 3*time.Second); err != nil {
		t.Error(err)
	}
	if err := e.fits(mixed, 3*time.Second-1); err == nil {
		t.Error("what takes 3 s fits less")
	}
}

// A pod whose devices cannot be moved in the time is refused before any moves.
func TestTooManyForTheTime(t *testing.T) {
	n := newNode(t, allowAll)
	n.estimate.measured(netmove.Plan{{}}, time.Hour)
	pod := n.pod("a", "- name: eth1\n- name: eth2\n")
	before := n.World.String()
	n.Fail(0, 0)
	ctx, cancel := withMinute(t)
	defer cancel()
	if err := n.run(ctx, pod); !errors.Is(err, ErrTooMany) {
		t.Errorf("error is %v", err)
	}
	n.asBefore(t, before)
}
