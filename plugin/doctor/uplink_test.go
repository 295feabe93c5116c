package doctor

import (
	"net/netip"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

func TestUplink(t *testing.T) {
	t.Parallel()
	route := netmove.DefaultRoute{To: netip.MustParsePrefix("0.0.0.0/0"), Table: 254}
	behind := route
	behind.Table = 100
	for _, tc := range []struct {
		routes  []netmove.DefaultRoute
		protect []string
		want    Level
	}{
		{nil, nil, Warn},
		{[]netmove.DefaultRoute{behind}, nil, Warn},
		{nil, []string{"eno1"}, OK},
		{[]netmove.DefaultRoute{route}, nil, OK},
	} {
		var f notes
		Node{Protect: tc.protect}.judgeUplink(&f, netmove.Routing{Defaults: tc.routes})
		if got := f.Findings[0]; got.Level != tc.want {
			t.Errorf("%v, protected %v: %+v, want %s", tc.routes, tc.protect, got, tc.want)
		}
	}
}
