package kernel

import "testing"

// A device whose state is not known, or cannot be put back, says so.
func TestUnrestorable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind string
		want string
	}{
		{"", ""},
		{"veth", ""},
		{"gtp", "the state of devices of kind gtp is not known"},
	} {
		if got := unrestorable(c.kind); got != c.want {
			t.Errorf("unrestorable(%q) = %q, want %q", c.kind, got, c.want)
		}
	}
}
