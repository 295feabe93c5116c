package sandbox

import (
	"maps"
	"reflect"
	"time"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/netmove"
)

// lookAnew is how long it may take until the inventory follows a change that neither the
// device nor the routing shows, such as a queueing discipline that would be lost.
const lookAnew = 30 * time.Second

// looked is what the inventory has read of devices. To read all of a device takes a hundred
// requests to the kernel, so that is done anew only when something tells of a change.
type looked struct {
	config   *config.NodeConfig
	routing  netmove.Routing
	at       netmove.BootOffset
	devices  map[string]lookedAt         // by the recognisable name
	hardware map[string]netmove.Hardware // the same
}

// lookedAt is what was found of a device on the host.
type lookedAt struct {
	as        netmove.Snapshot // as List told
	permitted bool
}

// begin forgets what may not be so any more, and devices that are not offered any more.
func (l *looked) begin(t *Table, offered map[string]offer) error {
	routing, err := t.mover.Host.Routing()
	if err != nil {
		return err
	}
	now, c := t.mover.Now(), t.config.Load()
	if l.devices == nil || l.config != c || time.Duration(now-l.at) >= lookAnew || !reflect.DeepEqual(l.routing, routing) {
		l.config, l.at, l.routing, l.devices = c, now, routing, map[string]lookedAt{}
	}
	known := map[string]bool{}
	for _, o := range offered {
		known[o.dev.Identity.RecognisableName()] = true
	}
	maps.DeleteFunc(l.devices, func(key string, _ lookedAt) bool { return !known[key] })
	if l.hardware == nil {
		l.hardware = map[string]netmove.Hardware{}
	}
	maps.DeleteFunc(l.hardware, func(key string, _ netmove.Hardware) bool { return !known[key] })
	return nil
}

// knows reports whether the device was read and is as it was then.
func (l *looked) knows(dev netmove.Snapshot) bool {
	one, ok := l.devices[dev.Identity.RecognisableName()]
	return ok && reflect.DeepEqual(one.as, dev)
}
