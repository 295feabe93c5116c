package nstest

import (
	_ "embed"
	"regexp"
	"strings"
	"testing"
	"time"
)

// dumpScript prints all that iproute2, ethtool, procfs and sysfs know: the engine is
// checked against other readers than its own.
//
//go:embed dump.sh
var dumpScript string

// Dump is everything about one device that a move could change, as text.
func (ns *NS) Dump(t testing.TB, name string) string {
	t.Helper()
	return ns.dump(t, name)
}

// Whole is everything about the namespace that a move could change, as text: all
// devices, and all entries of every table.
func (ns *NS) Whole(t testing.TB) string {
	t.Helper()
	return ns.dump(t)
}

func (ns *NS) dump(t testing.TB, device ...string) string {
	t.Helper()
	args := append([]string{"-m", "sh", "-c", helperScript + dumpScript, "dump"}, device...)
	cmd, _ := helped(t, ns.Command("unshare", args...))
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("dump of %q: %v", device, err)
	}
	return steady(string(out))
}

// volatile is what changes by itself, each with the reason.
func volatile() []string {
	return []string{
		`,?(LOWER_UP|NO-CARRIER|M-DOWN)`,  // told late; sysfs has the carrier itself
		` state [A-Z]+`, ` operstate \S+`, // the same
		` (linkdown|dead)\b`,              // the same
		`(valid|preferred)_lft \d+sec`,    // lifetimes pass
		` expires \d+sec`,                 // so do those of routes
		`[a-z_]+_timer +[\d.]+`,           // of a bridge
		`(?m)^.* lladdr (33:33|01:).*\n`,  // the cache of multicast neighbors
		`(?m)^0\.0\.0\.0 .*NOARP *\n`,     // the same
		`(?m)^[^ ]+ (dev \S+ )?NOARP *\n`, // the cache of devices without ARP
		` refcnt \d+\b`,                   // of a qdisc
	}
}

// steady takes away what changes by itself.
func steady(text string) string {
	for _, v := range volatile() {
		text = regexp.MustCompile(v).ReplaceAllString(text, "")
	}
	return withoutMiscount(strings.ReplaceAll(text, "<,", "<"))
}

// withoutMiscount takes away the promiscuity of devices that are down: the kernel does
// not count again then (__dev_set_rx_mode), and so has its last user in it until the
// device is up.
func withoutMiscount(text string) string {
	up, count := regexp.MustCompile(`^\d+: .*<([A-Z_]+,)*UP[,>]`), regexp.MustCompile(` promiscuity +\d+`)
	lines, isUp := strings.Split(text, "\n"), true
	for i, line := range lines {
		if regexp.MustCompile(`^\d+: \S+ <`).MatchString(line) {
			isUp = up.MatchString(line)
		}
		if !isUp {
			lines[i] = count.ReplaceAllString(line, "")
		}
	}
	return strings.Join(lines, "\n")
}

const (
	dumpPause = 100 * time.Millisecond // between two dumps
	patience  = 5 * time.Minute        // for what the kernel does by itself, and a busy emulator takes long to show
)

// Settled is the dump of a device that the kernel is done with: a carrier and the
// detection of duplicate addresses take it a second or more.
func (ns *NS) Settled(t testing.TB, name string) string {
	t.Helper()
	return settled(t, name, func() string { return ns.Dump(t, name) })
}

// SettledWhole is Whole of a namespace that the kernel is done with.
func (ns *NS) SettledWhole(t testing.TB) string {
	t.Helper()
	return settled(t, "the namespace", func() string { return ns.Whole(t) })
}

func settled(t testing.TB, what string, dump func() string) string {
	t.Helper()
	last, before := "", ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(dumpPause) {
		now := dump()
		if now == last && !regexp.MustCompile(`tentative|unsettled`).MatchString(now) {
			return now
		}
		before, last = last, now
	}
	t.Errorf("%s does not settle:\n%s\n%s", what, last, Diff(before, last))
	return last
}

// SameDump compares a device with what it was, once the kernel has made what it
// makes by itself when a device comes up: some of it waits for a carrier.
func (ns *NS) SameDump(t testing.TB, name, want string) {
	t.Helper()
	if diff := Differs(want, func() string { return ns.Dump(t, name) }, patience); diff != "" {
		t.Errorf("%s is not what it was (-was +is):\n%s", name, diff)
	}
}

// SameWhole compares the namespace with what it was.
func (ns *NS) SameWhole(t testing.TB, want string) {
	t.Helper()
	if diff := Differs(want, func() string { return ns.Whole(t) }, patience); diff != "" {
		t.Errorf("the namespace is not what it was (-was +is):\n%s", diff)
	}
}

// Differs waits as long as that for a dump to be what is wanted, and tells what differs
// then.
func Differs(want string, dump func() string, patience time.Duration) string {
	for deadline := time.Now().Add(patience); ; time.Sleep(dumpPause) {
		is := dump()
		if is == want {
			return ""
		}
		if time.Now().After(deadline) {
			return Diff(want, is)
		}
	}
}
