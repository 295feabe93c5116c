package cluster_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// annotation is one of those that ask for devices.
const annotation = "netdevices.noderesource.dev/pod"

// enforce applies a folder, and waits until the API server minds it. The other
// function takes it away again.
func (f *fixture) enforce(t *testing.T, example string) (remove func()) {
	t.Helper()
	folder, policy := "manifests/admission/"+example, "nri-netdev-"+example
	f.install(t, folder)
	f.eventually(t, "refusal by "+policy, func() bool {
		return f.create("plain", "default", annotation) != nil
	})
	f.eventually(t, "check of types", func() bool {
		return f.kubectl(t, "get", "validatingadmissionpolicy", policy, "-o", "jsonpath={.status.observedGeneration}") == "1"
	})
	if warnings := f.kubectl(t, "get", "validatingadmissionpolicy", policy, "-o", "jsonpath={.status.typeChecking.expressionWarnings}"); warnings != "" {
		t.Errorf("types: %s", warnings)
	}
	return func() {
		f.kubectl(t, "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", policy)
		f.eventually(t, "end of "+policy, func() bool {
			return f.create("plain", "default", annotation) == nil
		})
	}
}

// admits expects that a pod with these annotations may be made.
func (f *fixture) admits(t *testing.T, namespace, account string, annotations ...string) {
	t.Helper()
	if err := f.create(namespace, account, annotations...); err != nil {
		t.Errorf("%s/%s %q: %v", namespace, account, annotations, err)
	}
}

// isRefused expects an error with these words.
func isRefused(t *testing.T, what string, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want %q", what, err, words)
	}
}

// create asks the API server for a pod, and has it make none.
func (f *fixture) create(namespace, account string, annotations ...string) error {
	_, err := f.Kubectl(idle(namespace, "asks", account, annotations...), "create", "--dry-run=server", "-f", "-")
	return err
}

// idle is a pod that waits for a scheduler that does not exist.
func idle(namespace, name, account string, annotations ...string) string {
	asks := map[string]string{}
	for _, key := range annotations {
		asks[key] = "[{name: eth1}]"
	}
	text, err := json.Marshal(asks)
	if err != nil {
		panic(err) // strings always can
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {namespace: %s, name: %s, annotations: %s}\nspec:\n"+
		"  schedulerName: nobody\n  serviceAccountName: %s%s---\n", namespace, name, text, account, podSpec)
}

// annotate tries every request that can give an annotation to a pod which is there, each
// with a pod of its own, and tells what came of it.
func (f *fixture) annotate(t *testing.T, namespace, account, prefix string) map[string]error {
	t.Helper()
	const annotations = `"annotations": {"` + annotation + `": "[{name: eth1}]"}`
	api := "/api/v1/namespaces/" + namespace
	ways := map[string]func(pod string) []string{
		"patch": func(pod string) []string {
			return []string{"patch", "pod", "-n", namespace, pod, "-p", `{"metadata": {` + annotations + `}}`}
		},
		"status": func(pod string) []string {
			return []string{"patch", "pod", "-n", namespace, pod, "--subresource=status", "-p", `{"metadata": {` + annotations + `}}`}
		},
		"binding": func(pod string) []string {
			return []string{"create", "--raw", api + "/pods/" + pod + "/binding", "-f", "-"}
		},
		"bindings": func(string) []string { return []string{"create", "--raw", api + "/bindings", "-f", "-"} },
	}
	pods := ""
	for way := range ways {
		pods += idle(namespace, prefix+"-"+way, account)
	}
	f.apply(t, pods)
	results := map[string]error{}
	for way, request := range ways {
		pod := prefix + "-" + way
		binding := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Binding", "metadata": {"name": %q, %s}, "target": {"kind": "Node", "name": "nowhere"}}`,
			pod, annotations)
		_, results[way] = f.Kubectl(binding, request(pod)...)
		has := strings.Contains(f.kubectl(t, "get", "pod", "-n", namespace, pod, "-o", "jsonpath={.metadata.annotations}"), annotation)
		if has != (results[way] == nil) {
			t.Errorf("%s: the pod has the annotation: %v, and the API server said %v", way, has, results[way])
		}
	}
	return results
}
