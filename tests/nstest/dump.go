package nstest

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// dumpScript prints all that iproute2, ethtool and procfs know of the device $1: the
// engine is checked against other readers than its own.
const dumpScript = `
ip -d addr show dev $1
ip -4 route show table all dev $1
ip -6 route show table all dev $1
ip nexthop show dev $1
ip nexthop show groups
ip -4 neigh show dev $1 nud permanent
ip -6 neigh show dev $1 nud permanent
ip neigh show proxy dev $1
ip token show dev $1
bridge fdb show dev $1 | grep -E 'permanent|static|self' | sort # the others are learned
bridge vni show dev $1 2>/dev/null # of a vxlan
bridge -d link show dev $1
bridge -d vlan show dev $1
bridge vlan tunnelshow dev $1
bridge -d mdb show | grep "port $1 .*permanent" | sort # the others are learned
tc qdisc show dev $1 | sed '/ 0: root/s/ quantum [0-9]*//' # the kernel's own: of the MTU that there was when the device first went up
tc filter show dev $1
ip rule
ip -6 rule
ip link show dev $1 | grep ' vf '
for f in k l g c a x -show-priv-flags -show-eee -show-fec; do ethtool -$f $1; done 2>/dev/null
ethtool $1 2>/dev/null | grep -E 'Advertised|Auto-neg|Wake-on|message|^ +[0-9]+base' # not what came out of a negotiation
unshare -m sh -c 'mount -t sysfs sysfs /sys; cd /sys/class/net/$0 && grep -s . threaded napi_defer_hard_irqs gro_flush_timeout queues/*/*ps_* queues/*/tx_maxrate queues/*/byte_queue_limits/limit_m* queues/*/byte_queue_limits/hold_time' $1
[ ! -x /bin/wg ] || wg showconf $1 2>/dev/null
for d in ipv4/conf ipv6/conf ipv4/neigh ipv6/neigh; do
	[ ! -d /proc/sys/net/$d/$1 ] || (cd /proc/sys/net/$d/$1 && echo $d && grep -s . *)
done
`

// Dump is everything about one device that a move could change, as text.
// What changes by itself is not in it: carrier, timers and lifetimes.
func (ns *NS) Dump(t testing.TB, name string) string {
	t.Helper()
	out, err := ns.Command("sh", "-c", dumpScript, "dump", name).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "net/ipv4") && len(out) == 0 {
		t.Fatalf("dump of %q: %v: %s", name, err, out)
	}
	text := string(out)
	for _, volatile := range []string{
		`,?(LOWER_UP|NO-CARRIER|M-DOWN)`, ` state [A-Z]+`, ` (linkdown|dead)\b`,
		`(valid|preferred)_lft \d+sec`, `[a-z_]+_timer +[\d.]+`, ` numtxqueues.*numrxqueues \d+`, ` operstate \S+`,
	} {
		text = regexp.MustCompile(volatile).ReplaceAllString(text, "")
	}
	text = regexp.MustCompile(`expires \d+sec`).ReplaceAllString(text, "expires")
	text = strings.ReplaceAll(text, "<,", "<")
	if !regexp.MustCompile(`<([A-Z_]+,)*UP[,>]`).MatchString(text) {
		// Of a device that is down the kernel does not count again
		// (__dev_set_rx_mode), and so has its last user in it until it is up.
		text = regexp.MustCompile(` promiscuity +\d+`).ReplaceAllString(text, "")
	}
	return text
}

const (
	dumpPause = 100 * time.Millisecond // between two dumps
	patience  = time.Minute            // for what the kernel does by itself
)

// Settled is the dump of a device that the kernel is done with: a carrier and the
// detection of duplicate addresses take it a second or more.
func (ns *NS) Settled(t testing.TB, name string) string {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(dumpPause) {
		dump := ns.Dump(t, name)
		if dump == last && !strings.Contains(dump, "tentative") {
			return dump
		}
		last = dump
	}
	t.Errorf("%s does not settle:\n%s", name, last)
	return last
}

// SameDump compares a device with what it was, once the kernel has made what it
// makes by itself when a device comes up: some of it waits for a carrier.
func (ns *NS) SameDump(t testing.TB, name, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(dumpPause) {
		dump := ns.Dump(t, name)
		if dump == want {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s is not what it was (-was +is):\n%s", name, cmp.Diff(strings.Split(want, "\n"), strings.Split(dump, "\n")))
			return
		}
	}
}
