package sandbox

import (
	"context"
	"errors"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/journal"
)

// announcements are those that go on behind the hook, by the recognisable name of the device. The
// zero value is empty.
type announcements struct{ keyed[announcement] }

// announcement is what ends one.
type announcement struct {
	cancel context.CancelFunc
	ended  chan struct{} // closed
}

// begin runs announce on a goroutine of its own. For one device it is called again only after end.
func (l *announcements) begin(device string, announce func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	l.change(device, func(one *announcement) { *one = announcement{cancel, ended} })
	go func() {
		defer close(ended)
		defer l.drop(device)
		defer cancel()
		announce(ctx)
	}()
}

// end ends what was begun for the device, and waits for it.
func (l *announcements) end(device string) {
	var one announcement
	if l.look(device, func(v *announcement) { one = *v }) {
		one.cancel()
		<-one.ended
	}
}

// announce tells the neighbors of attached devices which addresses these have in the pod, once
// there is a carrier. It does not wait for that. It is not on record: a process that starts anew
// announces nothing again.
func (t *Table) announce(r *journal.Record) {
	for _, a := range r.Devices {
		if !a.Announces() {
			continue
		}
		t.announcements.begin(deviceKey(a), func(ctx context.Context) {
			if err := t.announceOne(ctx, r, &a); err != nil {
				recordLog(t.log, r).Warn("cannot announce the addresses of the device in the pod", "device", a.Before.Name, "err", err)
			}
		})
	}
}

func (t *Table) announceOne(ctx context.Context, r *journal.Record, a *netmove.Attachment) error {
	netns, done, err := t.pins.namespace(r)
	if netns == nil {
		return err
	}
	return errors.Join(t.mover.Announce(ctx, netns, a), done())
}
