package workload

import (
	"fmt"
	"strings"
	"testing"
)

// namesOf reads the names of the only object in a text.
func namesOf(t *testing.T, text string) Names {
	t.Helper()
	all, err := Read([]byte(text))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	return all[0].Names
}

// write shows patterns with R for a random character, D for a digit, and A for any. The
// places that a name may end before are in brackets.
func (n Names) write() string {
	var list []string
	for _, p := range n.patterns {
		var b strings.Builder
		for i, place := range p.places {
			if i == p.min {
				b.WriteByte('[')
			}
			b.WriteString(strings.NewReplacer(random, "R", anyOfName, "A", digits, "D").Replace(place))
		}
		if p.min < len(p.places) {
			b.WriteByte(']')
		}
		list = append(list, b.String())
	}
	return strings.Join(list, " ")
}

func TestNames(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	hashes := func(format string, lengths ...int) (list []string) {
		for _, n := range lengths {
			list = append(list, fmt.Sprintf(format, strings.Repeat("R", n)))
		}
		return list
	}
	for _, tc := range []struct{ text, shown, want string }{
		{"kind: Pod\nmetadata: {name: p}", "p", "p"},
		{"kind: Pod\nmetadata: {generateName: p-}", "p-<suffix>", "p-RRRRR"},
		{"kind: ReplicationController\nmetadata: {name: p}\nspec: {template: {}}", "p-<suffix>", "p-RRRRR"},
		{"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: p}\nspec: {template: {}}", "p-<suffix>", "p-RRRRR"},
		{"kind: DaemonSet\nmetadata: {name: " + a(60) + "}\nspec: {template: {}}", a(60) + "-<suffix>", a(58) + "RRRRR"},
		{
			"kind: Deployment\nmetadata: {name: p}\nspec: {template: {}}", "p-<hash>-<suffix>",
			strings.Join(hashes("p-%s-RRRRR", 10, 9, 8, 7, 6, 5, 4, 3, 2, 1), " "),
		},
		{
			"kind: Deployment\nmetadata: {name: " + a(49) + "}\nspec: {template: {}}", a(49) + "-<hash>-<suffix>",
			strings.Join(append(hashes(a(49)+"-%sRRRRR", 8, 8, 8), hashes(a(49)+"-%s-RRRRR", 7, 6, 5, 4, 3, 2, 1)...), " "),
		},
		{"kind: StatefulSet\nmetadata: {name: p}\nspec: {template: {}}", "p-0", "p-0"},
		{"kind: StatefulSet\nmetadata: {name: p}\nspec: {replicas: 0, template: {}}", "p-0", "p-0"},
		{"kind: StatefulSet\nmetadata: {name: p}\nspec: {replicas: 3, ordinals: {start: 8}, template: {}}", "p-8 to p-10", "p-8 p-9 p-10"},
		{"kind: Job\nmetadata: {name: p}\nspec: {completions: 3, template: {}}", "p-<suffix>", "p-RRRRR"},
		{"kind: Job\nmetadata: {generateName: p-}\nspec: {template: {}}", "p-<suffix>-<suffix>", "p-RRRRR-RRRRR"},
		{"kind: Job\nmetadata: {name: p}\nspec: {completionMode: Indexed, template: {}}", "p-<index>-<suffix>", "p-0-RRRRR"},
		{
			"kind: Job\nmetadata: {name: " + a(56) + "}\nspec: {completionMode: Indexed, completions: 2, template: {}}", a(56) + "-<index>-<suffix>",
			a(55) + "-0-RRRRR " + a(55) + "-1-RRRRR",
		},
		{"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: p}\nspec: {jobTemplate: {spec: {template: {}}}}", "p-<time>-<suffix>", "p-DDDDDDDD-RRRRR"},
		{
			"kind: CronJob\nmetadata: {name: p}\nspec: {jobTemplate: {spec: {completionMode: Indexed, completions: 2, template: {}}}}",
			"p-<time>-<index>-<suffix>", "p-DDDDDDDD-0-RRRRR p-DDDDDDDD-1-RRRRR",
		},
		{
			"apiVersion: example.org/v1\nkind: Deployment\nmetadata: {name: p}\nspec: {template: {}}", "of any name, such as p-…",
			"p-A[" + strings.Repeat("A", 60) + "] A[" + strings.Repeat("A", 62) + "]",
		},
		{
			"kind: Other\nmetadata: {name: " + a(70) + "}\nspec: {template: {}}", "of any name, such as " + a(70) + "-…",
			a(62) + "A A[" + strings.Repeat("A", 62) + "]",
		},
	} {
		names := namesOf(t, tc.text)
		if names.String() != tc.shown {
			t.Errorf("%s: shown as %q, want %q", tc.text, names, tc.shown)
		}
		if got := names.write(); got != tc.want {
			t.Errorf("%s: names\n%s, want\n%s", tc.text, got, tc.want)
		}
	}
}
