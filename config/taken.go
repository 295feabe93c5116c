package config

import (
	"cmp"
	"net/netip"
	"strconv"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// taken holds what the devices of one pod must not share, each thing with the index of
// the device that has it. Names are checked as a set, so two devices may swap names.
type taken struct {
	device    int // index of the device that is being read
	devices   map[string]int
	podNames  map[string]int
	addresses map[netip.Addr]int
	routes    map[routeKey]int
	defaults  map[netip.Prefix]int // that replace the pod's own
	rules     map[netmove.RuleRequest]int
}

// routeKey identifies a route: a namespace has at most one for each key.
type routeKey struct {
	to            netip.Prefix
	metric, table uint32
}

func newTaken() *taken {
	return &taken{
		device:    -1,
		devices:   map[string]int{},
		podNames:  map[string]int{},
		addresses: map[netip.Addr]int{},
		routes:    map[routeKey]int{},
		defaults:  map[netip.Prefix]int{},
		rules:     map[netmove.RuleRequest]int{},
	}
}

// next starts the next device.
func (c *taken) next() { c.device++ }

// nameByPlace returns the name that a device of a pool has in the pod if the author gives it
// none. Other devices keep their host name, but here the author cannot know it.
func (c *taken) nameByPlace() string { return "net" + strconv.Itoa(c.device+1) }

// add notes what the device has, and adds a problem for each thing that another
// device has. A name that could not be read is "" and takes nothing.
func (c *taken) add(v value, given map[string]value, r netmove.Request) {
	owner, twice := take(c.devices, r.Device, c.device)
	if twice {
		given["name"].refuse("device %s is asked for by [%d] already", quote(r.Device), owner)
	}
	switch named, sample := given["newName"], given["new_name"]; {
	case named.given():
		c.addPodName(named, r.PodName)
	case sample.given():
		c.addPodName(sample, r.PodName)
	case r.Pool != "":
		if owner, taken := take(c.podNames, r.PodName, c.device); taken {
			v.refuse("a device of a pool has the name %s here, by its place in the list, and [%d] has that name: give newName", quote(r.PodName), owner)
		}
	case !twice && r.Device != "":
		// If Device is an altname, this takes the altname: it goes into the
		// pod with the device, and no other one can have it as its name there.
		c.addPodName(v, r.Device)
	}
	at := given["addresses"]
	if !at.given() {
		at = given["address"]
	}
	for _, a := range r.Addresses {
		c.addAddress(at, a.Addr())
	}
	for _, route := range r.Routes {
		c.addRoute(given["routes"], route)
	}
	for _, rule := range r.Rules {
		c.addRule(given["rules"], rule)
	}
}

// Defaults of the kernel for a route that names no table or, with IPv6, no metric:
// RT_TABLE_MAIN and IP6_RT_PRIO_USER.
const (
	mainTable  = 254
	metricIPv6 = 1024
)

func (c *taken) addRoute(at value, r netmove.RouteRequest) {
	key := routeKey{r.To, r.Metric, cmp.Or(r.Table, mainTable)}
	if r.To.Addr().Is6() {
		key.metric = cmp.Or(r.Metric, metricIPv6)
	}
	switch owner, taken := take(c.routes, key, c.device); {
	case taken && owner == c.device:
		at.refuse("two routes to %s with the same metric and table", r.To)
	case taken:
		at.refuse("[%d] has a route to %s with the same metric and table already", owner, r.To)
	}
	if !r.ReplaceDefault {
		return
	}
	switch owner, taken := take(c.defaults, r.To, c.device); {
	case taken && owner == c.device:
		at.refuse("replaceDefault for %s is given twice", r.To)
	case taken:
		at.refuse("[%d] has replaceDefault for %s already", owner, r.To)
	}
}

func (c *taken) addRule(at value, r netmove.RuleRequest) {
	switch owner, taken := take(c.rules, r, c.device); {
	case taken && owner == c.device:
		at.refuse("\"%s\" is given twice", r)
	case taken:
		at.refuse("\"%s\" is given to [%d] already", r, owner)
	}
}

func (c *taken) addPodName(at value, name string) {
	if owner, taken := take(c.podNames, name, c.device); taken {
		at.refuse("name %s in the pod is taken by [%d] already", quote(name), owner)
	}
}

// addAddress takes an address for the whole pod, except an address of link scope,
// which it takes for the device only: a router has fe80::1 on each of its devices.
func (c *taken) addAddress(at value, a netip.Addr) {
	key := a
	if a.Is6() && a.IsLinkLocalUnicast() {
		key = a.WithZone(strconv.Itoa(c.device))
	}
	switch owner, taken := take(c.addresses, key, c.device); {
	case taken && owner == c.device:
		at.refuse("%v is given twice", a)
	case taken:
		at.refuse("%v is given to [%d] already", a, owner)
	}
}

// take gives x to device i, or returns the device that has x already. The zero
// value is never taken.
func take[K comparable](owners map[K]int, x K, i int) (owner int, taken bool) {
	var zero K
	if owner, taken = owners[x]; !taken && x != zero {
		owners[x] = i
	}
	return owner, taken
}
