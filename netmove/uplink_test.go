package netmove_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/hosts"
)

func TestUplink(t *testing.T) {
	t.Parallel()
	for _, h := range hosts.All(t) {
		t.Run(h.Name, func(t *testing.T) {
			t.Parallel()
			routing, names := h.Routing(t)
			carriers := func(routes []netmove.DefaultRoute) []string {
				list := map[string]bool{}
				for _, r := range routes {
					for _, index := range r.Through {
						list[names[index]] = true
					}
				}
				return slices.Sorted(maps.Keys(list))
			}
			best, worse := routing.Uplink()
			if diff := cmp.Diff(h.Carriers(h.Uplink), carriers(best)); diff != "" {
				t.Errorf("uplink (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(h.Carriers(h.Backup), carriers(worse)); diff != "" {
				t.Errorf("backup (-want +got):\n%s", diff)
			}
		})
	}
}
