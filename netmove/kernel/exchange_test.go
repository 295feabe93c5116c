package kernel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/netmove"
	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

// A large answer has the kernel make the next dumps as large (max_recvmsg_len of
// netlink_recvmsg): none of them is cut off.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	ns := nstest.New(t)
	ns.Shell(t, "ip link add eth1 type veth peer name eth2; ip link set eth1 up; ip link set eth2 up; ip addr add 192.0.2.1/24 dev eth1")
	var batch strings.Builder
	for i := range 400 {
		fmt.Fprintf(&batch, "link property add dev eth2 altname %0120d\n", i)
	}
	const routes = 3000
	for i := range routes {
		fmt.Fprintf(&batch, "route add 10.%d.%d.0/24 via 192.0.2.9\n", i/250, i%250)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.IP(t, "-batch", file)
	k := open(t, ns)
	for range 3 {
		large, err := netmove.Read(k, "eth2")
		if err != nil || len(large.Altnames) != 400 {
			t.Errorf("%d altnames, %v", len(large.Altnames), err)
		}
		dev, err := netmove.Read(k, "eth1")
		if err != nil || len(dev.Entries) != routes {
			t.Errorf("%d routes, %v", len(dev.Entries), err)
		}
	}
}
