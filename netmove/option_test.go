package netmove

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiffering(t *testing.T) {
	t.Parallel()
	option := func(value byte) Option { return Option{Name: "x", Value: RawValue{value}} }
	unknown := Option{Name: "x", Unknown: true}
	for _, tc := range []struct {
		name       string
		want, have []Option
		differ     []Option
	}{
		{"same", []Option{option(1)}, []Option{option(1)}, nil},
		{"other", []Option{option(1)}, []Option{option(2)}, []Option{option(1)}},
		{"none", []Option{option(1)}, nil, []Option{option(1)}},
		{"none, without a value", []Option{{Name: "x"}}, nil, []Option{{Name: "x"}}},
		{"not known now", []Option{option(1)}, []Option{unknown}, nil},
		{"was not known", []Option{unknown}, []Option{option(1)}, nil},
		{"was not known, and is not there", []Option{unknown}, nil, nil},
		{"somebody else's", nil, []Option{option(1)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.differ, differing(tc.want, tc.have)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
