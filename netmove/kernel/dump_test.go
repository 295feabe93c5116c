package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A dump of which somebody has seen enough is read to its end: the kernel begins none beside it.
func TestRefusedDump(t *testing.T) {
	t.Parallel()
	ns, k, _ := veth(t)
	ns.IP(t, "link set eth1 up")
	const routes = 3000 // more than are on their way at a time
	var batch strings.Builder
	for i := range routes {
		fmt.Fprintf(&batch, "route add 10.%d.%d.0/24 dev eth1\n", i/250, i%250)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.IP(t, "-batch", file)
	all := routeFilter{family: unix.AF_INET, table: unix.RT_TABLE_MAIN}
	failed, given := errors.New("failed"), 0
	for range 2 {
		_, err := gatherRoutes(k, all, func(*int, []byte) error { given++; return failed })
		if !errors.Is(err, failed) {
			t.Errorf("error is %v", err)
		}
	}
	if given != 2 {
		t.Errorf("%d messages were given, want one each time", given)
	}
	n, err := gatherRoutes(k, all, func(n *int, _ []byte) error { *n++; return nil })
	if n != routes || err != nil {
		t.Errorf("%d routes, %v", n, err)
	}
}

// A dump that a change has interrupted is begun anew, and not for ever.
func TestInterruptedDump(t *testing.T) {
	t.Parallel()
	for times, want := range map[int]error{0: nil, 9: nil, 10: errInterrupted} {
		tried := 0
		whole, err := uninterrupted(func() (int, error) {
			if tried++; tried <= times {
				return tried, errInterrupted
			}
			return tried, nil
		})
		if !errors.Is(err, want) || err == nil && whole != times+1 || err != nil && whole != 0 {
			t.Errorf("interrupted %d times: %d, %v, want %v", times, whole, err, want)
		}
	}
	tried := 0
	if _, err := uninterrupted(func() (int, error) { tried++; return 7, unix.EPERM }); !errors.Is(err, unix.EPERM) || tried != 1 {
		t.Errorf("after %d tries: %v", tried, err)
	}
}

// A datagram that is not what it says is an error, and nothing beyond it is read.
func TestMalformedDatagrams(t *testing.T) {
	t.Parallel()
	message := func(size int, data string) []byte {
		msg := binary.NativeEndian.AppendUint32(nil, uint32(size))
		msg = append(msg, 24, 0, unix.NLM_F_MULTI, 0, 7, 0, 0, 0, 0, 0, 0, 0) // seq 7
		return append(msg, data...)
	}
	for what, tc := range map[string]struct {
		datagram []byte
		given    string
		fails    bool
	}{
		"one":             {message(20, "abcd"), "abcd", false},
		"two":             {append(message(18, "ab\x00\x00"), message(20, "cdef")...), "ab,cdef", false},
		"one not aligned": {message(18, "ab"), "ab", false},
		"too large":       {message(24, "abcd"), "", true},
		"too small":       {message(15, "abcd"), "", true},
		"of no size":      {message(0, ""), "", true},
		"end of one":      {append(message(20, "abcd"), "xyz"...), "abcd", false},
	} {
		var given []string
		a := answer{seq: 7, give: func(msg []byte) error { given = append(given, string(msg)); return nil }}
		if err := a.takeAll(tc.datagram); (err != nil) != tc.fails || strings.Join(given, ",") != tc.given {
			t.Errorf("%s: given %q, %v", what, given, err)
		}
	}
}
