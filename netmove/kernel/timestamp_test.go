package kernel_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// A NIC stamps the frames that the host has told it to, not those of the pod's choice.
func TestPhysicalTimestamps(t *testing.T) {
	for _, nic := range []string{firstNIC, fourthNIC} {
		t.Run(nic, func(t *testing.T) {
			n, _ := newMachine(t)
			n.host.IP(t, "link set "+nic+" up")
			stamp(t, n.host, nic, unix.HwTstampConfig{Tx_type: unix.HWTSTAMP_TX_ON, Rx_filter: unix.HWTSTAMP_FILTER_NONE})
			before := stamped(t, n.host, nic)
			plan := n.attach(t, netmove.Request{Device: nic, PodName: "net1"})
			stamp(t, n.pod, "net1", unix.HwTstampConfig{Tx_type: unix.HWTSTAMP_TX_OFF, Rx_filter: unix.HWTSTAMP_FILTER_PTP_V2_EVENT})
			if stamped(t, n.pod, "net1") == before {
				t.Error("the pod changed nothing")
			}
			n.giveBack(t, plan)
			if is := stamped(t, n.host, nic); is != before {
				t.Errorf("it stamps %+v, not %+v", is, before)
			}
		})
	}
}

func stamp(t *testing.T, ns *nstest.NS, dev string, config unix.HwTstampConfig) {
	t.Helper()
	withSocket(t, ns, func(fd int) error { return unix.IoctlSetHwTstamp(fd, dev, &config) })
}

func stamped(t *testing.T, ns *nstest.NS, dev string) (config unix.HwTstampConfig) {
	t.Helper()
	withSocket(t, ns, func(fd int) error {
		is, err := unix.IoctlGetHwTstamp(fd, dev)
		if err == nil {
			config = *is
		}
		return err
	})
	return config
}

func withSocket(t *testing.T, ns *nstest.NS, do func(fd int) error) {
	t.Helper()
	ns.Do(t, func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := do(fd); err != nil {
			t.Fatal(err)
		}
	})
}
