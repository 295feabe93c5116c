package doctor

import (
	"errors"
	"strings"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
)

// uplink reads which default routes the node has. A namespace that cannot be opened is the
// finding of another check.
func (n Node) uplink(f *notes) {
	ns, err := kernel.Linux{}.OpenOwn()
	if err != nil {
		return
	}
	routing, err := ns.Routing()
	if err = errors.Join(err, ns.Close()); err != nil {
		f.add("uplink", Fail, "", "%v", err)
		return
	}
	n.judgeUplink(f, routing)
}

// judgeUplink judges whether something keeps the devices that the node itself needs.
func (n Node) judgeUplink(f *notes, r netmove.Routing) {
	const check = "uplink"
	best, _ := r.Uplink()
	switch {
	case len(best) == 0 && len(n.Protect) == 0:
		f.add(check, Warn, "name the uplink in protect of the node config",
			"the node has no default route: nothing keeps its uplink from being moved")
	case len(best) == 0:
		f.add(check, OK, "", "the node has no default route; protected: %s", strings.Join(n.Protect, ", "))
	default:
		var routes []string
		for _, route := range best {
			routes = append(routes, route.String())
		}
		f.add(check, OK, "", "never moves: what carries %s", strings.Join(routes, "; "))
	}
}
