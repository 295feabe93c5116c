package kernel_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// learned are routes of a node as a routing daemon makes them: through the device with that
// ifindex, with these addresses as their sources, if they are valid.
type learned struct {
	index   int
	sources [2]netip.Addr
}

// request asks for one of them.
func (l learned) request(dst netip.Prefix) []byte {
	family, source := byte(unix.AF_INET), l.sources[0]
	if dst.Addr().Is6() {
		family, source = unix.AF_INET6, l.sources[1]
	}
	msg := []byte{ // struct rtmsg
		family, byte(dst.Bits()), 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BGP, unix.RT_SCOPE_LINK, unix.RTN_UNICAST, 0, 0, 0, 0,
	}
	msg = append(msg, nl.NewRtAttr(unix.RTA_DST, dst.Addr().AsSlice()).Serialize()...)
	msg = append(msg, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(l.index))).Serialize()...)
	if source.IsValid() {
		msg = append(msg, nl.NewRtAttr(unix.RTA_PREFSRC, source.AsSlice()).Serialize()...)
	}
	req := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	req.AddRawData(msg)
	return req.Serialize()
}

// add makes n routes of IPv4, and a fourth of that of IPv6.
func (l learned) add(tb testing.TB, ns *nstest.NS, n int) {
	tb.Helper()
	ns.Do(tb, func() {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			tb.Fatal(err)
		}
		defer unix.Close(fd)
		for i := 0; i < n; {
			var batch []byte
			for end := min(i+1000, n); i < end; i++ {
				v4, v6 := [4]byte{}, [16]byte{0x20, 0x01}
				binary.BigEndian.PutUint32(v4[:], uint32(16<<24+i<<8))
				binary.BigEndian.PutUint32(v6[2:], uint32(i))
				batch = append(batch, l.request(netip.PrefixFrom(netip.AddrFrom4(v4), 24))...)
				if i%4 == 0 {
					batch = append(batch, l.request(netip.PrefixFrom(netip.AddrFrom16(v6), 48))...)
				}
			}
			if err := unix.Sendto(fd, batch, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
				tb.Fatal(err)
			}
			// The kernel tells what it has not done.
			if size, _, err := unix.Recvfrom(fd, batch, 0); !errors.Is(err, unix.EAGAIN) {
				tb.Fatalf("it answers % x, %v", batch[:min(max(size, 0), 20)], err)
			}
		}
	})
}

// fullTable is a host with a full table, and the engine. The routes go through one of its
// devices, and have the address of one as their source.
func fullTable(tb testing.TB, routes int, through, source string) (m *netmove.Mover, linux kernel.Linux, pod *nstest.NS) {
	tb.Helper()
	host, pod, far := nstest.New(tb), nstest.New(tb), nstest.New(tb)
	for i, name := range []string{"eth0", "eth1", "eth2", "eth3", "eth4"} {
		host.Veth(tb, name, far, name+"p")
		far.IP(tb, "link set "+name+"p up")
		host.Shell(tb, fmt.Sprintf(`
			ip link set %[1]s up
			ip addr add 192.0.%[2]d.1/24 dev %[1]s
			ip addr add 2001:db8:%[2]d::1/64 dev %[1]s nodad`, name, i))
	}
	host.IP(tb, "route add 10.1.0.0/16 via 192.0.1.254 dev eth1")
	ns, err := linux.Open(host.Path())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ns.Close() })
	carrier, err := ns.ByName(through)
	if err != nil {
		tb.Fatal(err)
	}
	l := learned{index: carrier.Identity.Index}
	if source != "" {
		n := source[len(source)-1:]
		l.sources = [2]netip.Addr{netip.MustParseAddr("192.0." + n + ".1"), netip.MustParseAddr("2001:db8:" + n + "::1")}
	}
	l.add(tb, host, routes)
	return &netmove.Mover{Now: linux.Now, Host: ns, Log: slog.New(slog.DiscardHandler)}, linux, pod
}

// What the kernel tells of the routes of others is looked at as it comes: none is kept, and
// nothing is allocated for it but by datagrams, each of some hundreds of them.
func TestFullTableIsNotKept(t *testing.T) {
	const routes, perAllocation = 20000, 10
	m, _, _ := fullTable(t, 0, "eth0", "eth0")
	few := allocations(t, m.Host)
	m, _, _ = fullTable(t, routes, "eth0", "eth0")
	if many := allocations(t, m.Host); many > few+routes/perAllocation {
		t.Errorf("%.0f allocations beside %d routes, %.0f without", many, routes, few)
	}
	// Of those that go through the device, and of those that go with its address, three are told.
	for through, source := range map[string]string{"eth1": "eth1", "eth0": "eth1"} {
		m, _, _ := fullTable(t, routes, through, source)
		if many := allocations(t, m.Host); many > few+routes/perAllocation {
			t.Errorf("%.0f allocations for %d routes through %s from %s, %.0f without", many, routes, through, source, few)
		}
	}
}

// allocations is how many it takes to read eth1 alone, and together with another one.
func allocations(t *testing.T, host netmove.Namespace) float64 {
	t.Helper()
	return testing.AllocsPerRun(1, func() {
		for _, names := range [][]string{{"eth1"}, {"eth1", "eth2"}} {
			if _, errs := netmove.ReadEach(host, names...); errors.Join(errs...) != nil {
				t.Fatal(errs)
			}
		}
	})
}

// BenchmarkFullTable is what is read of a device beside a full table, and the return of one.
func BenchmarkFullTable(b *testing.B) {
	for _, bc := range []struct {
		name, through, source string
		routes                int
	}{
		{"0", "eth0", "", 0},
		{"100k", "eth0", "eth0", 100e3},
		{"1M", "eth0", "eth0", 1e6},
		{"1M/through it", "eth1", "eth1", 1e6},
		{"1M/from its address", "eth0", "eth1", 1e6},
	} {
		b.Run(bc.name, func(b *testing.B) {
			m, linux, pod := fullTable(b, bc.routes, bc.through, bc.source)
			b.Run("read", func(b *testing.B) { benchRead(b, m.Host, "eth1") })
			b.Run("read 4", func(b *testing.B) { benchRead(b, m.Host, "eth1", "eth2", "eth3", "eth4") })
			if bc.source != "eth1" { // or the first move takes the routes away
				b.Run("return", func(b *testing.B) { benchReturn(b, m, linux, pod) })
			}
		})
	}
}

func benchRead(b *testing.B, host netmove.Namespace, names ...string) {
	b.ReportAllocs()
	var most int64
	for b.Loop() {
		most = max(most, peak(b, func() {
			if _, errs := netmove.ReadEach(host, names...); errors.Join(errs...) != nil {
				b.Fatal(errs)
			}
		}))
	}
	b.ReportMetric(float64(most)/1e6, "peak-MB")
}

func benchReturn(b *testing.B, m *netmove.Mover, linux kernel.Linux, pod *nstest.NS) {
	var back, inside time.Duration
	var most int64
	m.Moved = func(took time.Duration) { inside += took }
	for b.Loop() {
		plan, ns := attachOnce(b, m, linux, pod)
		inside = 0
		most = max(most, peak(b, func() {
			began := time.Now()
			if err := m.Return(ns, &plan[0]); err != nil {
				b.Fatal(err)
			}
			back += time.Since(began) - inside
		}))
		if err := ns.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(back.Seconds()*1e3/float64(b.N), "ms-outside-return")
	b.ReportMetric(float64(most)/1e6, "peak-MB")
}

// peak is how much memory the process has at most, while f runs, that it has not before. Only
// f is timed.
func peak(b *testing.B, f func()) int64 {
	b.Helper()
	b.StopTimer()
	defer b.StartTimer()
	debug.FreeOSMemory()
	const forgetPeak = "5"
	if err := os.WriteFile("/proc/self/clear_refs", []byte(forgetPeak), 0o600); err != nil {
		b.Fatal(err)
	}
	before := memory(b, "VmRSS")
	b.StartTimer()
	f()
	b.StopTimer()
	return memory(b, "VmHWM") - before
}

// memory is a size in bytes of /proc/self/status.
func memory(b *testing.B, field string) int64 {
	b.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	found := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(data)
	if found == nil {
		b.Fatalf("no %s in\n%s", field, data)
	}
	size, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return size << 10
}
