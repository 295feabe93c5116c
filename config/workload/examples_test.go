package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExamples(t *testing.T) {
	deployment := namesOf(t, "kind: Deployment\nmetadata: {name: web}\nspec: {template: {}}")
	for _, tc := range []struct {
		name  string
		names Names
		lists [][]string
		want  []string
	}{
		{"no lists", deployment, nil, []string{"web-bbbbbbbbbb-bbbbb"}},
		{"always", deployment, [][]string{{"web-*"}, {"*"}, {"web-*-?????"}}, []string{"web-bbbbbbbbbb-bbbbb"}},
		{"never", deployment, [][]string{{"web"}, {"web-0"}, {"web-*-a*"}}, []string{"web-bbbbbbbbbb-bbbbb"}},
		{"sometimes", deployment, [][]string{{"web-?????-*"}}, []string{"web-bbbbbbbbbb-bbbbb", "web-bbbbb-bbbbb"}},
		{"two globs that cover all", deployment, [][]string{{"*[b-m]", "*[^b-m]"}}, []string{"web-bbbbbbbbbb-bbbbb"}},
		{"two lists that do", deployment, [][]string{{"*[b-m]"}, {"*[^b-m]"}}, []string{"web-bbbbbbbbbb-bbbbb", "web-bbbbbbbbbb-bbbbn"}},
		{
			"ordinals", namesOf(t, "kind: StatefulSet\nmetadata: {name: w}\nspec: {replicas: 4, template: {}}"),
			[][]string{{"w-0"}, {"w-[12]"}},
			[]string{"w-0", "w-1", "w-3"},
		},
		{
			"unknown controller", namesOf(t, "kind: Other\nmetadata: {name: w}\nspec: {template: {}}"),
			[][]string{{"w-*"}},
			[]string{"w-a", "a"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.names.Examples(tc.lists)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("examples (-want +got), error %v:\n%s", err, diff)
			}
		})
	}
}

// A search that would not end is refused, not cut short.
func TestTooManyWays(t *testing.T) {
	names := namesOf(t, "kind: Other\nmetadata: {name: w}\nspec: {template: {}}")
	lists := [][]string{{"*a" + strings.Repeat("?", 20)}}
	if got, err := names.Examples(lists); !errors.Is(err, errTooManyWays) {
		t.Errorf("examples %q, error %v", got, err)
	}
}

// TestExamplesOfAll compares with every name of small patterns.
func TestExamplesOfAll(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "b", "c", "*", "*", "?", "[ab]", "[^a]", "[b-c]", `\a`, `[\]a]`, `\*`}
	for range 2000 {
		lists := make([][]string, 1+r.IntN(3))
		for i := range lists {
			for range r.IntN(3) {
				glob := ""
				for range 1 + r.IntN(5) {
					glob += pieces[r.IntN(len(pieces))]
				}
				lists[i] = append(lists[i], glob)
			}
		}
		p := pattern{[]string{"abc", "ab", "c", "abc"}, 2 + r.IntN(3)}
		want := map[string]bool{}
		for _, name := range all(p) {
			want[matching(lists, name)] = true
		}
		names, err := Names{patterns: []pattern{p}}.Examples(lists)
		got := map[string]bool{}
		for _, name := range names {
			got[matching(lists, name)] = true
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil || len(got) != len(names) {
			t.Fatalf("%q: examples %q, error %v, sets of lists (-want +got):\n%s", lists, names, err, diff)
		}
	}
}

// all lists every name of a pattern.
func all(p pattern) []string {
	names, list := []string{""}, []string{}
	for i, place := range p.places {
		var longer []string
		for _, name := range names {
			for c := range strings.SplitSeq(place, "") {
				longer = append(longer, name+c)
			}
		}
		if names = longer; i+1 >= p.min {
			list = append(list, names...)
		}
	}
	return list
}

// matching tells which lists match a name.
func matching(lists [][]string, name string) string {
	matched := make([]bool, len(lists))
	for i, globs := range lists {
		matched[i] = slices.ContainsFunc(globs, func(glob string) bool {
			ok, err := path.Match(glob, name)
			if err != nil {
				panic(err)
			}
			return ok
		})
	}
	return fmt.Sprint(matched)
}
