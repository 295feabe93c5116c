package netmove_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/netmovetest"
)

// spoil changes all that a pod can change, but for names.
func spoil(t *testing.T, ns *netmovetest.Namespace, index int) {
	t.Helper()
	for _, err := range []error{
		ns.SetMAC(index, netmove.MAC{2, 6, 6, 6, 6, 6}), ns.SetMTU(index, 1300), ns.SetAlias(index, "x"),
		ns.SetTxQueueLen(index, 1), ns.SetGroup(index, 9), ns.SetFlags(index, netmove.LinkFlags{Promisc: true}),
		ns.SetSysctl(index, "ipv6/conf/stable_secret", "theirs"), ns.SetOption(index, netmove.Option{Name: "gso_max_size"}),
		ns.SetOption(index, netmove.Option{Name: "vxlan.1"}), ns.SetMaster(index, 77), ns.DropAltname(index, "own0"),
		ns.AddAltname(index, "theirs"),
		ns.PutEntry(index, netmove.Entry{Table: netmove.TableVXLAN, Text: "theirs", Message: []byte("theirs")}),
		ns.PutEntry(index, netmove.Entry{Table: netmove.TableVLAN, Text: "9", Message: []byte("9"), Port: true}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever the kernel refuses for good is told with the kernel's answer, and is put back when
// the kernel has changed its mind. Secrets are told nowhere.
func TestRefusedChangesAreTold(t *testing.T) {
	f := newFixture()
	var log strings.Builder
	f.mover.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.host.Add(netmove.Snapshot{
		Name: "vx0", Altnames: []string{"own0"}, Alias: "ours", MAC: netmove.MAC{2, 0, 0, 0, 0, 1}, MTU: 1500, TxQueueLen: 1000,
		Sysctls:   map[string]string{"ipv6/conf/stable_secret": "secret", "ipv4/conf/arp_ignore": "1"},
		Options:   []netmove.Option{{Name: "gso_max_size", Value: netmove.RawValue{1}}, {Name: "vxlan.1", Value: netmove.RawValue{2}}},
		Addresses: []netmove.Address{permanent("192.0.2.1/24", func(a *netmove.Address) { a.Label = "vx0" }), permanent("2001:db8::1/64", nil)},
		Entries:   []netmove.Entry{route("10.0.0.0/8", "192.0.2.254")}, Flags: netmove.LinkFlags{Up: true},
	})
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "vx0"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	index := plan[0].Before.Identity.Index
	if err := f.pod.Move(plan[0].PodIndex, f.host, "other", index); err != nil {
		t.Fatal(err)
	}
	spoil(t, f.host, index)
	f.Refuse(true)
	err := f.mover.Return(f.pod, &plan[0])
	want := `device is home, but not as it was: device "vx0": rename to "vx0": rename to "vx0": operation not permitted
device "vx0": drop altname "theirs": operation not permitted
device "vx0": add altname "own0": operation not permitted
device "vx0": set alias "ours": operation not permitted
device "vx0": set MAC 02:00:00:00:00:01: operation not permitted
device "vx0": set MTU 1500: operation not permitted
device "vx0": set transmit queue length 1000: operation not permitted
device "vx0": set group 0: operation not permitted
device "vx0": set flags : operation not permitted
device "vx0": set master ifindex 0: operation not permitted
device "vx0": add address 192.0.2.1/24: operation not permitted
device "vx0": set up: operation not permitted
device "vx0": add address 2001:db8::1/64: operation not permitted
device "vx0": settle address 2001:db8::1/64: operation not permitted
device "vx0": set option gso_max_size: operation not permitted
device "vx0": set sysctl ipv4/conf/arp_ignore to 1: operation not permitted
device "vx0": set sysctl ipv6/conf/stable_secret: operation not permitted
device "vx0": set option vxlan.1: operation not permitted
device "vx0": drop vxlan-fdb theirs: operation not permitted
device "vx0": drop vlan 9: operation not permitted
device "vx0": add route 10.0.0.0/8 via 192.0.2.254: operation not permitted`
	if diff := cmp.Diff(want, text(err)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	f.Refuse(false)
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, f.String()); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if strings.Contains(log.String(), "secret\" ") || strings.Contains(log.String(), "to secret") {
		t.Errorf("the log tells a secret:\n%s", log.String())
	}
}

// So is what cannot be given back to the devices that are built on one.
func TestRefusedMendingIsTold(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth1"})
	for _, err := range []error{
		f.host.SetMTU(5, 1000), f.host.SetMTU(6, 900), f.host.SetUp(5, false),
		f.host.DropAddress(5, permanent("10.5.0.1/24", nil)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.returnAll(t, plan)
	if diff := cmp.Diff(before, strings.Replace(f.String(), `label "eth1.5"`, `label ""`, 1)); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
	if err := errors.Join(f.host.SetUp(5, false), f.host.SetMTU(5, 1000), f.host.SetMTU(6, 900), f.host.SetUp(6, true)); err != nil {
		t.Fatal(err)
	}
	f.Refuse(true)
	var minor *netmove.MinorError
	if err := f.mover.Return(f.pod, &plan[0]); !errors.As(err, &minor) {
		t.Fatalf("error is %v", err)
	}
	want := `device "eth1": eth1.5: set MTU 1500: operation not permitted
device "eth1": eth1.5: set up: operation not permitted
device "eth1": eth1.5: add address 2001:db8:5::1/64: operation not permitted
device "eth1": eth1.5: settle address 2001:db8:5::1/64: operation not permitted
device "eth1": eth1.5.6: set MTU 1400: operation not permitted
device "eth1": eth1.5.6: set down: operation not permitted`
	if diff := cmp.Diff(want, minor.Error()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	for _, s := range minor.Steps {
		if s.Attribute != "uppers" {
			t.Errorf("%v is about %q", s, s.Attribute)
		}
	}
}

// A device that others are built on, and those, are read in pieces, any of which may fail.
func TestReadFailsAtEveryStep(t *testing.T) {
	for n := 1; ; n++ {
		f := newFixture()
		f.Fail(n, netmovetest.Before)
		_, err := netmove.Read(f.host, "eth1")
		if f.Calls() < n {
			break
		}
		if !errors.Is(err, netmovetest.ErrInjected) {
			t.Errorf("step %d: error is %v", n, err)
		}
		f.Fail(n, netmovetest.Absent)
		dev, err := netmove.Read(f.host, "eth1")
		// It is found, filled, and so are what is on it, and what is on that.
		uppers := []int{-1, -1, -1, -1, 0, 0, 1, 1}
		if n < len(uppers) && (uppers[n] < 0) != (err != nil) || n < len(uppers) && err == nil && len(dev.Uppers) != uppers[n] {
			t.Errorf("step %d: what is gone is read as %+v, %v", n, dev.Uppers, err)
		}
	}
}

// Of several devices any may fail, and the others are read.
func TestReadEach(t *testing.T) {
	names := []string{"eth1", "eth2", "none", "eth3"}
	for n := 1; ; n++ {
		f := newFixture()
		f.Fail(n, netmovetest.Before)
		devices, errs := netmove.ReadEach(f.host, names...)
		failed := 0
		for i, err := range errs {
			switch {
			case errors.Is(err, netmovetest.ErrInjected):
				failed++
			case (err == nil) != (names[i] != "none") || err != nil && !errors.Is(err, netmove.ErrNotFound):
				t.Errorf("step %d: %s: error is %v", n, names[i], err)
			case err == nil && (devices[i].Name != names[i] || !devices[i].Parts.Has(netmove.AllParts&^netmove.PartTunFile)):
				t.Errorf("step %d: %s is read as %+v", n, names[i], devices[i])
			}
		}
		if f.Calls() < n {
			break
		}
		if failed != 1 {
			t.Errorf("step %d: errors are %v", n, errs)
		}
	}
}

// What goes away while all are read is left out, and what cannot be read is named.
func TestReadAll(t *testing.T) {
	for what, mayGo := range map[string]func(netmove.Snapshot) bool{
		"all":  func(netmove.Snapshot) bool { return true },
		"none": func(netmove.Snapshot) bool { return false },
	} {
		t.Run(what, func(t *testing.T) { testReadAll(t, mayGo) })
	}
}

func testReadAll(t *testing.T, mayGo func(netmove.Snapshot) bool) {
	t.Helper()
	for n := 1; ; n++ {
		f := newFixture()
		f.Fail(n, netmovetest.Before)
		list, err := netmove.ReadAll(f.host, mayGo)
		if f.Calls() < n {
			if len(list) != 6 || err != nil {
				t.Errorf("%d devices, %v", len(list), err)
			}
			break
		}
		if !errors.Is(err, netmovetest.ErrInjected) || list != nil || n > 1 && !strings.Contains(err.Error(), `device "`) {
			t.Errorf("step %d: %d devices, error is %v", n, len(list), err)
		}
		f.Fail(n, netmovetest.Absent)
		list, err = netmove.ReadAll(f.host, mayGo)
		if n > 1 && (err != nil || len(list) < 5) {
			t.Errorf("step %d: %d devices, error is %v", n, len(list), err)
		}
	}
	f := newFixture()
	f.Interrupt(2, func() { f.host.Remove("eth2") })
	if list, err := netmove.ReadAll(f.host, mayGo); err != nil || len(list) != 5 {
		t.Errorf("%d devices, %v", len(list), err)
	}
}

// Of a device that cannot go no more is read than tells what it does for the node.
func TestReadAllThatMayGo(t *testing.T) {
	f := newFixture()
	f.host.AddDevice(netmove.Device{
		Snapshot: netmove.Snapshot{Name: "eth8", Addresses: []netmove.Address{netmove.NewAddress(netip.MustParsePrefix("192.0.2.8/24"))}, Entries: []netmove.Entry{route("10.0.0.0/8", "192.0.2.1")}},
		Facts:    netmove.Facts{Role: netmove.Role{Uplink: netmove.Uplink{Route: "default table main", Device: "eth8"}}, Loss: []netmove.Loss{{Kind: netmove.LossQdisc, Text: "tbf"}}},
	})
	read := func(mayGo bool) (eth8 netmove.Device, calls int) {
		before := f.Calls()
		list, err := netmove.ReadAll(f.host, func(dev netmove.Snapshot) bool { return mayGo || dev.Name != "eth8" })
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(d netmove.Device) bool { return d.Name == "eth8" })
		return list[i], f.Calls() - before
	}
	whole, many := read(true)
	part, few := read(false)
	if few >= many || whole.Role != part.Role || len(part.Addresses) != 1 || len(whole.Loss) != 1 || len(part.Loss)+len(part.Entries) > 0 {
		t.Errorf("by %d calls %+v, by %d %+v", many, whole, few, part)
	}
}

// What a pod has on a device that does not go away keeps that in the pod, with the reason.
func TestRefusedInThePod(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(f *fixture, index int) error
		want string
	}{
		"altname": {
			func(f *fixture, index int) error { return f.pod.AddAltname(index, "theirs") },
			`return "eth2": from the pod: drop altname "theirs": operation not permitted`,
		},
		"altname that is taken at home": {
			func(f *fixture, index int) error {
				f.host.Add(netmove.Snapshot{Name: "taker", Altnames: []string{"own0"}})
				return f.pod.Rename(index, netmove.Identity{Inode: 1004}.RecognisableName())
			},
			"return \"eth2\": from the pod: the name is taken: an altname\ndrop altname \"own0\": operation not permitted",
		},
		"upper": {
			func(f *fixture, index int) error {
				f.pod.AddUpper(f.pod, index, netmove.Snapshot{Name: "up0"})
				return nil
			},
			`return "eth2": from the pod: remove "up0", which the pod built on it: operation not permitted`,
		},
		"name": {func(*fixture, int) error { return nil }, `return "eth2": from the pod: rename to "nd`},
	} {
		f := newFixture()
		eth2, err := f.host.ByName("eth2")
		if err == nil {
			err = f.host.AddAltname(eth2.Identity.Index, "own0")
		}
		if err != nil {
			t.Fatal(err)
		}
		before := f.String()
		plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		if err := tc.edit(f, plan[0].PodIndex); err != nil {
			t.Fatal(err)
		}
		f.Refuse(true)
		if err := f.mover.Return(f.pod, &plan[0]); !strings.HasPrefix(text(err), tc.want) || !errors.Is(err, netmovetest.ErrRefused) {
			t.Errorf("%s: error is %v", name, err)
		}
		f.Refuse(false)
		f.host.Remove("taker")
		f.returnAll(t, plan)
		if diff := cmp.Diff(before, f.String()); diff != "" {
			t.Errorf("%s: the world differs (-want +got):\n%s", name, diff)
		}
	}
}

// Names that the pod put in the way of the one that a device travels under give way.
func TestSquatters(t *testing.T) {
	for _, altname := range []bool{false, true} {
		f := newFixture()
		plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		name := plan[0].Before.Identity.RecognisableName()
		squatter := netmove.Snapshot{Name: name}
		if altname {
			squatter = netmove.Snapshot{Name: "theirs", Altnames: []string{name}}
		}
		f.pod.Add(squatter)
		f.returnAll(t, plan)
		if taken, err := f.pod.NameTaken(name); taken || err != nil {
			t.Errorf("the name is taken in the pod: %v, %v", taken, err)
		}
		if _, err := f.host.ByName("eth2"); err != nil {
			t.Error(err)
		}
	}
}

// A process of the pod's puts another device in the place of ours, just before the move.
func TestExchangedBeforeTheMove(t *testing.T) {
	f := newFixture()
	before := f.String()
	plan := f.mustPlan(t, netmove.Request{Device: "eth2"})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	den, index := f.AddNamespace("den"), plan[0].PodIndex
	recognizable := plan[0].Before.Identity.RecognisableName()
	const move = 4 // after the look, what is built on it, and the rename
	f.Interrupt(move, func() {
		if err := f.pod.Move(index, den, recognizable, 0); err != nil {
			t.Error(err)
		}
		f.pod.Add(netmove.Snapshot{Name: "impostor"})
		f.Interrupt(3, func() { // the look at home, and at what has come
			dev, err := den.ByName(recognizable)
			if err == nil {
				err = den.Move(dev.Identity.Index, f.pod, recognizable, 0)
			}
			if err != nil {
				t.Error(err)
			}
		})
	})
	f.returnAll(t, plan)
	if _, err := f.pod.ByName("nri0"); err != nil {
		t.Errorf("the device that came in its place: %v", err)
	}
	f.pod.Remove("nri0")
	f.RemoveNamespace("den")
	if diff := cmp.Diff(before, strings.Replace(f.String(), "den\n", "", 1)); diff != "" {
		t.Errorf("the world differs (-want +got):\n%s", diff)
	}
}

// A driver that takes the MAC of a pod's for the permanent one is set right, and where that
// does not help it is told.
func TestPermanentMAC(t *testing.T) {
	f := newFixture()
	f.Forget(true)
	mac := netmove.MAC{2, 0, 0, 0, 0, 7}
	f.host.Add(netmove.Snapshot{Name: "vf0", MAC: mac, Identity: netmove.Identity{PermMAC: mac}, Flags: netmove.LinkFlags{Up: true}})
	plan := f.mustPlan(t, netmove.Request{Device: "vf0", MAC: netmove.MAC{2, 6, 6, 6, 6, 6}})
	if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
		t.Fatal(err)
	}
	if dev, err := f.pod.ByName("vf0"); err != nil || dev.Identity.PermMAC.Equal(mac) {
		t.Errorf("in the pod it is %+v, %v", dev.Identity, err)
	}
	f.returnAll(t, plan)
	if dev, err := f.host.ByName("vf0"); err != nil || !dev.Identity.PermMAC.Equal(mac) || !dev.Flags.Up {
		t.Errorf("at home it is %+v, %v", dev, err)
	}
	plan[0].Before.Identity.PermMAC = netmove.MAC{2, 9}
	f.Refuse(true)
	err := f.mover.Return(f.pod, &plan[0])
	if want := "reset it to the permanent MAC 02:09: operation not permitted\noperation not permitted"; !strings.Contains(text(err), want) {
		t.Errorf("error is %v", err)
	}
}

// A device comes home to one below it that carries less by now: that is told, and no reason to
// keep the device. One that has its MTU keeps it, and so does one of which nothing is below.
func TestLowerCarriesLess(t *testing.T) {
	for name, tc := range map[string]struct {
		carries, inPod, mtu int
		apart               bool
		want                string
	}{
		"less":                 {carries: 1400, inPod: 1300, mtu: 1400, want: `device is home, but not as it was: device "mv0": set MTU 1500: mtu 1500 is more than the 1400 that the device below, "nic0", allows`},
		"as much":              {carries: 1500, inPod: 1300, mtu: 1500},
		"no limit":             {inPod: 1300, mtu: 1500},
		"less, but it kept it": {carries: 1400, mtu: 1500},
		"nothing below":        {carries: 1400, inPod: 1300, apart: true, mtu: 1500},
	} {
		f := newFixture()
		eth2, err := f.host.ByName("eth2")
		if err != nil {
			t.Fatal(err)
		}
		dev := netmove.Snapshot{Name: "mv0", MTU: 1500}
		if tc.apart {
			dev = f.host.Add(dev)
		} else {
			dev = f.host.AddUpper(f.host, eth2.Identity.Index, dev)
		}
		f.host.Tell(dev.Identity.Index, netmove.Facts{Lower: netmove.Lower{Name: "nic0", MTU: tc.carries}})
		plan := f.mustPlan(t, netmove.Request{Device: "mv0", MTU: tc.inPod})
		if err := f.mover.Attach(t.Context(), f.pod, plan); err != nil {
			t.Fatal(err)
		}
		for try := range 2 {
			if got := text(f.mover.Return(f.pod, &plan[0])); got != tc.want {
				t.Errorf("%s, try %d: %s", name, try, got)
			}
		}
		if dev, err := f.host.ByName("mv0"); err != nil || dev.MTU != tc.mtu {
			t.Errorf("%s: it has %d, %v", name, dev.MTU, err)
		}
	}
}
