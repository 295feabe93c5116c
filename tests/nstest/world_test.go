package nstest_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestWorld(t *testing.T) {
	t.Parallel()
	host, pod := nstest.New(t), nstest.New(t)
	host.Veth(t, "veth0", pod, "peer0")
	pod.IP(t, "link set peer0 up")
	host.IP(t, "link add br0 address 02:00:00:00:00:b0 type bridge")
	host.IP(t, "link set veth0 address 02:00:00:00:00:01 mtu 1400 txqueuelen 77 group 5 promisc on multicast off")
	host.IP(t, "link", "set", "veth0", "alias", "two words")
	host.IP(t, "link property add dev veth0 altname cable")
	host.IP(t, "link set veth0 master br0 up")
	for _, addr := range []string{
		"192.0.2.1/24 brd + dev veth0 label veth0:a metric 50",
		"192.0.2.2/24 dev veth0 noprefixroute",
		"198.51.100.1 peer 198.51.100.2 dev veth0 scope link",
		"2001:db8::1/64 dev veth0 nodad valid_lft 1000 preferred_lft 1000",
		"2001:db8::2/64 dev veth0",
	} {
		host.IP(t, "addr add "+addr)
	}
	want := `1: lo kind device mac none mtu 65536 txqlen 1000 group 0 <>
I: veth0 altnames cable alias "two words" kind veth mac 02:00:00:00:00:01 mtu 1400 txqlen 77 group 5 master br0 <UP,PROMISC>
    inet 198.51.100.1/32 peer 198.51.100.2 scope 253 label veth0 <PERMANENT> forever
    inet 192.0.2.1/24 brd 192.0.2.255 scope 0 label veth0:a metric 50 <PERMANENT> forever
    inet 192.0.2.2/24 scope 0 label veth0 <SECONDARY,PERMANENT,NOPREFIXROUTE> forever
    inet6 2001:db8::2/64 scope 0 <TENTATIVE,PERMANENT> forever
    inet6 2001:db8::1/64 scope 0 <NODAD> timed
I: br0 kind bridge mac 02:00:00:00:00:b0 mtu 1400 txqlen 1000 group 0 <MULTICAST>
`
	// Indexes depend on what devices the kernel puts into every namespace.
	got := regexp.MustCompile(`(?m)^[2-9]\d*:`).ReplaceAllString(host.World(t), "I:")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("world (-want +got):\n%s", diff)
	}
	if got := host.Link(t, "nosuch"); got != "" {
		t.Errorf("a device that is not there: %q", got)
	}
}
