package netmove_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// ours are the addresses that a pod asks for.
func ours() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("192.0.2.5/24"), netip.MustParsePrefix("2001:db8::5/64")}
}

// announcing is a device in a pod whose addresses are being announced.
type announcing struct {
	*fixture
	plan   netmove.Plan
	cancel context.CancelFunc
	ended  chan error
}

// announce attaches eth1 and announces it, on the clock of a synctest bubble.
func announce(t *testing.T, r netmove.Request) *announcing {
	t.Helper()
	a := &announcing{fixture: newFixture(), ended: make(chan error, 1)}
	r.Device, r.PodName = "eth1", "net1"
	a.plan = a.mustPlan(t, r)
	if err := a.mover.Attach(t.Context(), a.pod, a.plan); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	a.cancel = cancel
	go func() { a.ended <- a.mover.Announce(ctx, a.pod, &a.plan[0]) }()
	synctest.Wait()
	return a
}

// carrier gives the device a carrier, and waits for all that comes of it.
func (a *announcing) carrier() {
	a.pod.Change("net1", func(d *netmove.Snapshot) { d.Running = true })
	synctest.Wait()
}

// end waits for the end, and checks what the neighbors have heard by then.
func (a *announcing) end(t *testing.T, heard ...string) error {
	t.Helper()
	err := <-a.ended
	a.cancel()
	if got := a.Heard(); !slices.Equal(got, heard) {
		t.Errorf("the neighbors have heard\n%q\nwant\n%q", got, heard)
	}
	if n := a.Watched(); n != 0 {
		t.Errorf("%d are told of changes, want none", n)
	}
	return err
}

const heard4, heard6 = "net1 192.0.2.5", "net1 2001:db8::5"

// Addresses that the pod asks for are announced three times, when there is a carrier and not
// before.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := announce(t, netmove.Request{Addresses: ours()})
		a.pod.Change("net1", func(d *netmove.Snapshot) { d.MTU = 1400 })
		synctest.Wait()
		if got := a.Heard(); len(got) > 0 {
			t.Errorf("without a carrier the neighbors have heard %q", got)
		}
		time.Sleep(time.Second)
		a.Fail(0, netmovetest.Never) // counts from here
		time.Sleep(time.Hour)
		if looks := a.Calls(); looks > 0 {
			t.Errorf("nothing has changed, and the device was looked at %d times", looks)
		}
		a.carrier()
		if err := a.end(t, heard4, heard6, heard4, heard6, heard4, heard6); err != nil {
			t.Error(err)
		}
	})
}

// A pod that changes something all the time does not have the device looked at each time.
func TestAnnounceBesideManyChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const changes = 1000
		a := announce(t, netmove.Request{Addresses: ours()})
		a.Fail(0, netmovetest.Never) // counts from here
		for range changes {
			a.pod.Change("net1", func(*netmove.Snapshot) {})
			time.Sleep(time.Millisecond)
		}
		if looks := a.Calls(); looks == 0 || looks > changes/10 {
			t.Errorf("%d looks for %d changes", looks, changes)
		}
		a.cancel()
		if err := a.end(t); err != nil {
			t.Error(err)
		}
	})
}

// How often each address is announced, by what the pod asks for.
func TestAnnounceTimes(t *testing.T) {
	t.Parallel()
	const arp, ndisc = "ipv4/arp_notify", "ipv6/ndisc_notify"
	silent := func(sysctls map[string]string) netmove.Request {
		return netmove.Request{Addresses: ours(), Announce: new(false), Sysctls: sysctls}
	}
	for name, tc := range map[string]struct {
		request netmove.Request
		times   int
		want    string
	}{
		"addresses of the host":          {netmove.Request{}, 0, ""},
		"addresses of the host, told":    {netmove.Request{Announce: new(true)}, 3, "192.0.2.1 192.0.2.2 2001:db8::2 2001:db8::1"},
		"addresses, not told":            {silent(nil), 0, ""},
		"no addresses":                   {netmove.Request{Addresses: []netip.Prefix{}, Announce: new(true)}, 0, ""},
		"addresses, told, and by sysctl": {netmove.Request{Addresses: ours(), Sysctls: map[string]string{arp: "1"}}, 3, "192.0.2.5 2001:db8::5"},
		"arp_notify":                     {silent(map[string]string{arp: "1"}), 1, "192.0.2.5"},
		"ndisc_notify":                   {silent(map[string]string{ndisc: "1"}), 1, "2001:db8::5"},
		"both":                           {silent(map[string]string{arp: "1", ndisc: "1"}), 1, "192.0.2.5 2001:db8::5"},
		"both switched off":              {silent(map[string]string{arp: "0", ndisc: "0"}), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := announce(t, tc.request)
				if got := a.plan[0].Announces(); got != (tc.times > 0) {
					t.Errorf("announces: %v", got)
				}
				a.carrier()
				var want []string
				for range tc.times {
					for addr := range strings.FieldsSeq(tc.want) {
						want = append(want, "net1 "+addr)
					}
				}
				if err := a.end(t, want...); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The end of the sandbox ends the wait for a carrier, and the pause between two rounds.
func TestAnnounceEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := announce(t, netmove.Request{Addresses: ours()})
		a.cancel()
		if err := a.end(t); err != nil {
			t.Error(err)
		}
		a = announce(t, netmove.Request{Addresses: ours()})
		a.carrier()
		for len(a.Heard()) == 0 {
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		a.cancel()
		if err := a.end(t, heard4, heard6); err != nil {
			t.Error(err)
		}
	})
}

// What the pod does to its device meanwhile is its own matter.
func TestAnnounceBesideThePod(t *testing.T) {
	t.Parallel()
	set := func(d *netmove.Snapshot, local string, flags uint32) {
		for i := range d.Addresses {
			if d.Addresses[i].Local.Addr().String() == local {
				d.Addresses[i].Flags = flags
			}
		}
	}
	drop := func(d *netmove.Snapshot, local string) {
		d.Addresses = slices.DeleteFunc(d.Addresses, func(a netmove.Address) bool { return a.Local.Addr().String() == local })
	}
	for name, tc := range map[string]struct {
		change func(d *netmove.Snapshot)
		want   []string
	}{
		"renamed":              {func(d *netmove.Snapshot) { d.Name = "x"; d.Running = true }, []string{"x 192.0.2.5", "x 2001:db8::5", "x 192.0.2.5", "x 2001:db8::5", "x 192.0.2.5", "x 2001:db8::5"}},
		"without an address":   {func(d *netmove.Snapshot) { drop(d, "192.0.2.5"); d.Running = true }, []string{heard6, heard6, heard6}},
		"without any":          {func(d *netmove.Snapshot) { d.Addresses = nil }, nil},
		"another node has one": {func(d *netmove.Snapshot) { set(d, "2001:db8::5", netmove.FlagDADFailed); d.Running = true }, []string{heard4, heard4, heard4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := announce(t, netmove.Request{Addresses: ours()})
				a.pod.Change("net1", tc.change)
				if err := a.end(t, tc.want...); err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("deleted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := announce(t, netmove.Request{Addresses: ours()})
			a.pod.Remove("net1")
			if err := a.end(t); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("tentative for a while", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := announce(t, netmove.Request{Addresses: ours()})
			a.pod.Change("net1", func(d *netmove.Snapshot) {
				set(d, "2001:db8::5", netmove.FlagPermanent|netmove.FlagTentative)
				d.Running = true
			})
			for len(a.Heard()) < 3 {
				synctest.Wait()
				time.Sleep(time.Millisecond)
			}
			a.pod.Change("net1", func(d *netmove.Snapshot) { set(d, "2001:db8::5", netmove.FlagPermanent) })
			if err := a.end(t, heard4, heard4, heard4, heard6, heard6, heard6); err != nil {
				t.Error(err)
			}
		})
	})
}

// What the kernel does not do is told in the end, if it goes on.
func TestAnnounceFails(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for name, tc := range map[string]struct {
		err  error
		want error
	}{
		"for good":     {refused, refused},
		"no neighbors": {netmove.ErrNoNeighbors, nil},
		"gone":         {netmove.ErrNotFound, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := announce(t, netmove.Request{Addresses: ours()})
				a.FailAnnounce(3, tc.err)
				a.carrier()
				if err := a.end(t); !errors.Is(err, tc.want) || tc.want == nil && err != nil {
					t.Errorf("error %v, want %v", err, tc.want)
				}
			})
		})
	}
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := announce(t, netmove.Request{Addresses: ours()})
			a.FailAnnounce(1, refused)
			a.carrier()
			if err := a.end(t, heard4, heard6, heard4, heard6); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a look", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a := announce(t, netmove.Request{Addresses: ours()})
			a.Fail(1, netmovetest.Before)
			a.carrier()
			if err := a.end(t); !errors.Is(err, netmovetest.ErrInjected) {
				t.Errorf("error %v", err)
			}
		})
	})
	t.Run("a watch", func(t *testing.T) {
		t.Parallel()
		f := newFixture()
		f.CannotOpen(true)
		if err := f.mover.Announce(t.Context(), f.pod, &netmove.Attachment{}); !errors.Is(err, netmovetest.ErrInjected) {
			t.Errorf("error %v", err)
		}
	})
}
