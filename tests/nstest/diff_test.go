package nstest_test

import (
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/nstest"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ was, is, want string }{
		{"", "", ""},
		{"a\n b", "a\n b", ""},
		{"a\n b\n c", "a\n c", "  a\n-  b\n"},
		{"a\n b\nd", "a\n b\nd\ne", "  d\n+ e\n"},
		{"a\nb", "b\na", "- a\n  b\n+ a\n"},
		{"a\nb\nc", "a\nx\nc", "  a\n- b\n+ x\n"},
	} {
		if got := nstest.Diff(c.was, c.is); got != c.want {
			t.Errorf("diff of %q and %q is %q, want %q", c.was, c.is, got, c.want)
		}
	}
}
