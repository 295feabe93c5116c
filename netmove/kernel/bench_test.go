package kernel_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/netmove/kernel"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// benchNode is a host with a veth that has addresses of both families, and a pod.
func benchNode(b *testing.B) (m *netmove.Mover, pod *nstest.NS, inside *time.Duration) {
	b.Helper()
	host, pod, far := nstest.New(b), nstest.New(b), nstest.New(b)
	host.Veth(b, "eth1", far, "eth1p")
	far.IP(b, "link set eth1p up")
	host.Shell(b, `ip link set eth1 up; ip addr add 192.0.2.1/24 dev eth1; ip addr add 2001:db8::1/64 dev eth1 nodad`)
	ns, err := kernel.Linux{}.Open(host.Path())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ns.Close() })
	inside = new(time.Duration)
	m = &netmove.Mover{
		Now: kernel.Linux{}.Now, Host: ns, Log: slog.New(slog.DiscardHandler),
		Moved: func(took time.Duration) { *inside += took },
	}
	return m, pod, inside
}

// BenchmarkAttach is an attach and its return, each with the time outside the move.
func BenchmarkAttach(b *testing.B) {
	m, pod, inside := benchNode(b)
	var attach, back, attachMove, backMove time.Duration
	for b.Loop() {
		began := time.Now()
		*inside = 0
		ns, err := kernel.Linux{}.Open(pod.Path())
		if err != nil {
			b.Fatal(err)
		}
		dev, err := netmove.Read(m.Host, "eth1")
		if err != nil {
			b.Fatal(err)
		}
		plan, err := netmove.NewPlan([]netmove.Request{{Device: "eth1", PodName: "net1"}}, []netmove.Device{dev})
		if err == nil {
			err = m.Prepare(ns, plan)
		}
		if err == nil {
			err = m.Attach(b.Context(), ns, plan)
		}
		if err != nil {
			b.Fatal(err)
		}
		attach, attachMove = attach+time.Since(began), attachMove+*inside
		began, *inside = time.Now(), 0
		if err := m.Return(ns, &plan[0]); err != nil {
			b.Fatal(err)
		}
		back, backMove = back+time.Since(began), backMove+*inside
		if err := ns.Close(); err != nil {
			b.Fatal(err)
		}
	}
	perOp := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(b.N) }
	b.ReportMetric(perOp(attach-attachMove), "ms-outside-attach")
	b.ReportMetric(perOp(back-backMove), "ms-outside-return")
	b.ReportMetric(perOp(attachMove), "ms-move")
}

// BenchmarkSnapshot is what is read of a device before it moves.
func BenchmarkSnapshot(b *testing.B) {
	m, _, _ := benchNode(b)
	for b.Loop() {
		if _, err := netmove.Read(m.Host, "eth1"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshotOfManyQueues is the same of a device as large NICs are.
func BenchmarkSnapshotOfManyQueues(b *testing.B) {
	host := nstest.New(b)
	host.Shell(b, "ip link add eth1 numtxqueues 64 numrxqueues 64 type veth peer name far; ethtool -L eth1 rx 64 tx 64")
	ns, err := kernel.Linux{}.Open(host.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer ns.Close()
	for b.Loop() {
		if _, err := netmove.Read(ns, "eth1"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadAll is what is read of all devices of a node, a hundred of them in pairs, that
// knows 250 other namespaces.
func BenchmarkReadAll(b *testing.B) {
	host := nstest.New(b)
	for range 250 {
		host.Veth(b, "gone", nstest.New(b), "away")
		host.IP(b, "link del gone")
	}
	host.Shell(b, `for i in $(seq 50); do ip link add x$i type veth peer name y$i; ip link set x$i up; ip addr add 10.0.$i.1/24 dev x$i; done`)
	ns, err := kernel.Linux{}.Open(host.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer ns.Close()
	for b.Loop() {
		if _, err := netmove.ReadAll(ns, all); err != nil {
			b.Fatal(err)
		}
	}
}

// all is for netmove.ReadAll.
func all(netmove.Snapshot) bool { return true }
