package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read returns the objects of a text, without their names of pods.
func read(t *testing.T, text string) []Workload {
	t.Helper()
	all, err := Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Names = Names{}
	}
	return all
}

func TestRead(t *testing.T) {
	asked := map[string]string{"a": "b"}
	for _, tc := range []struct {
		name, text string
		want       []Workload
	}{
		{"nothing", "", nil},
		{"comments", "# a\n---\n# b\n", nil},
		{
			"pod", "kind: Pod\nmetadata: {name: p, namespace: team, annotations: {a: b}}\nspec: {hostNetwork: true, runtimeClassName: kata}",
			[]Workload{{Kind: "Pod", Namespace: "team", Name: "p", Annotations: asked, HostNetwork: true, RuntimeClassName: "kata"}},
		},
		{
			"documents", "kind: Pod\nmetadata: {name: p}\n--- # next\n\n---\nkind: Service\nmetadata: {name: s}\nspec: {ports: []}",
			[]Workload{{Kind: "Pod", Namespace: "default", Name: "p"}, {Kind: "Service", Namespace: "default", Name: "s", NoPods: true}},
		},
		{
			"list of kubectl", "apiVersion: v1\nkind: List\nitems:\n- {kind: Pod, metadata: {name: p, annotations: {a: b}}}\n- kind: List\n  items: [{kind: Pod, metadata: {name: q}}]",
			[]Workload{{Kind: "Pod", Namespace: "default", Name: "p", Annotations: asked}, {Kind: "Pod", Namespace: "default", Name: "q"}},
		},
		{
			"typed list", `{"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "p", "annotations": {"a": "b"}}}]}`,
			[]Workload{{Kind: "Pod", Namespace: "default", Name: "p", Annotations: asked}},
		},
		{"empty list", "kind: List\nitems: []", nil},
		{
			"template", "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d, annotations: {not: this}}\nspec: {template: {metadata: {annotations: {a: b}}, spec: {hostNetwork: true, runtimeClassName: kata}}}",
			[]Workload{{Kind: "DaemonSet", Namespace: "default", Name: "d", Annotations: asked, HostNetwork: true, RuntimeClassName: "kata"}},
		},
		{
			"template of a job's", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {generateName: c-}\nspec: {jobTemplate: {spec: {template: {metadata: {annotations: {a: b}}}}}}",
			[]Workload{{Kind: "CronJob", Namespace: "default", Name: "c-", Annotations: asked}},
		},
		{
			"unknown kind", "apiVersion: example.org/v1\nkind: Rollout\nmetadata: {name: r}\nspec: {template: {metadata: {annotations: {a: b}}}}",
			[]Workload{{Kind: "Rollout", Namespace: "default", Name: "r", Annotations: asked}},
		},
		{
			"no template where one could be", "apiVersion: example.org/v1\nkind: Letter\nmetadata: {name: r}\nspec: {template: plain, replicas: many}",
			[]Workload{{Kind: "Letter", Namespace: "default", Name: "r", NoPods: true}},
		},
		{"without a template", "kind: CronJob\nmetadata: {name: c}", []Workload{{Kind: "CronJob", Namespace: "default", Name: "c", NoPods: true}}},
		{"without names", "kind: Kustomization", []Workload{{Kind: "Kustomization", Namespace: "default", NoPods: true}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, read(t, tc.text), cmp.AllowUnexported(Names{})); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"kind: Pod\nmetadata: {name: p}\n---\na: [", "document 2: "},
		{"a: b", "document 1: no Kubernetes object: kind is missing"},
		{"kind: List\nitems: [{kind: Pod, metadata: {name: p}}, {metadata: {name: q}}]", "document 1: items[1]: no Kubernetes object: kind is missing"},
		{"kind: List\nitems: [null]", "document 1: items[0]: no Kubernetes object: kind is missing"},
		{"kind: Pod\nmetadata: {name: p, annotations: {a: 5}}", "document 1: "},
		{"kind: Pod\nspec: {}", "document 1: Pod: metadata.name is missing"},
		{"kind: Deployment\nmetadata: {name: p}\nspec: {template: 5}", "document 1: Deployment default/p: "},
		{"kind: StatefulSet\nmetadata: {name: p}\nspec: {replicas: 10001, template: {}}", "document 1: StatefulSet default/p: replicas and ordinals.start: want"},
		{"kind: StatefulSet\nmetadata: {name: p}\nspec: {ordinals: {start: -1}, template: {}}", "document 1: StatefulSet default/p: replicas and ordinals.start: want"},
		{"kind: Job\nmetadata: {name: p}\nspec: {completionMode: Indexed, completions: 10001, template: {}}", "document 1: Job default/p: completions: want"},
	} {
		if all, err := Read([]byte(tc.text)); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q: objects %v, error %v, want %s", tc.text, all, err, tc.want)
		}
	}
}
