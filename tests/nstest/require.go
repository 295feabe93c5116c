package nstest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// requireEnv lists, separated by commas, what must not be skipped.
const requireEnv = "NRI_NETDEV_REQUIRE"

// Unavailable ends a test that needs something this machine does not have:
// it skips with the reason, or fails if NRI_NETDEV_REQUIRE lists what.
func Unavailable(t testing.TB, what, reason string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv(requireEnv), ","), what) {
		t.Fatalf("%s: %s, and %s asks for it", what, reason, requireEnv)
	}
	t.Skipf("%s: %s", what, reason)
}
