package kernel_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// inSysfs has a script see the devices of its network namespace in /sys, in a mount
// namespace of its own.
func inSysfs(script string) string {
	return "unshare -m sh -ec 'mount -t sysfs sysfs /sys; " + script + "'"
}

// What a pod writes to files of the device in sysfs is what the host had again.
func TestReturnSysfs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ host, pod string }{
		"nothing there": {
			"true",
			`cd /sys/class/net/net1; echo 3 >queues/rx-0/rps_cpus; echo 1 >queues/rx-2/rps_cpus; echo 77 >queues/rx-1/rps_flow_cnt
			echo 2 >queues/tx-1/xps_cpus; echo 5 >napi_defer_hard_irqs; echo 2000 >gro_flush_timeout`,
		},
		"the host's": {
			`cd /sys/class/net/eth1; echo 3 >queues/rx-0/rps_cpus; echo 1 >queues/rx-1/rps_cpus; echo 16 >queues/rx-0/rps_flow_cnt
			echo 1 >queues/tx-0/xps_cpus; echo 2 >queues/tx-1/xps_cpus; echo 2 >queues/tx-2/xps_rxqs; echo 7 >napi_defer_hard_irqs`,
			`cd /sys/class/net/net1; for f in queues/*/*ps_*; do echo 0 >$f || true; done; echo 0 >napi_defer_hard_irqs; echo 9 >gro_flush_timeout`,
		},
		"fewer queues": {
			`cd /sys/class/net/eth1; echo 3 >queues/rx-2/rps_cpus; echo 1 >queues/tx-2/xps_cpus`,
			`ethtool -L net1 rx 1 tx 1; echo 2 >/sys/class/net/net1/queues/rx-0/rps_cpus`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			n.host.IP(t, "link add eth1 numtxqueues 3 numrxqueues 3 type veth peer name far")
			n.host.Shell(t, "ethtool -L eth1 rx 3 tx 3; ip link set far up; ip link set eth1 up")
			n.host.Shell(t, inSysfs(c.host))
			before := n.host.Settled(t, "eth1")
			plan := n.attach(t, netmove.Request{Device: "eth1", PodName: "net1"})
			n.pod.Shell(t, inSysfs(c.pod))
			n.giveBack(t, plan)
			n.host.SameDump(t, "eth1", before)
		})
	}
}
