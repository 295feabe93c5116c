package cluster_test

import (
	"os"
	"strings"
	"testing"
)

// TestAdmission applies the policies that keep the annotation to some pods. What they
// decide shows at the API server: no plugin runs, and hardly a pod. Namespace telco is
// the one that may, plain is not.
func TestAdmission(t *testing.T) {
	f := startPlain(t)
	for _, account := range []string{"telco/worker", "plain/worker"} {
		namespace, name, _ := strings.Cut(account, "/")
		f.kubectl(t, "create", "namespace", namespace)
		f.kubectl(t, "create", "serviceaccount", "-n", namespace, name)
		f.eventually(t, "default service account", func() bool {
			_, err := f.Kubectl("", "get", "serviceaccount", "-n", namespace, "default")
			return err == nil
		})
	}
	for _, part := range []struct {
		name string
		run  func(*fixture, *testing.T)
	}{
		{"no policy", (*fixture).admitsAll},
		{"namespaces", (*fixture).admitsNamespaces},
		{"service accounts", (*fixture).admitsServiceAccounts},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(f, t) }) {
			t.Fatal("the others build on it")
		}
	}
}

// What the policies are there for: each of these ways gives a pod the annotation. The
// pods stay, for what becomes of those that were annotated before there was a policy.
func (f *fixture) admitsAll(t *testing.T) {
	for way, err := range f.annotate(t, "plain", "default", "old") {
		if err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
}

func (f *fixture) admitsNamespaces(t *testing.T) {
	f.kubectl(t, "label", "namespace", "telco", "netdev.noderesource.dev/devices=allowed")
	remove := f.enforce(t, "namespaces")
	refusal := func(key string) string {
		return "annotation " + key + ` is not allowed in namespace "plain": remove it, or ask the cluster's owner to ` +
			"label the namespace netdev.noderesource.dev/devices=allowed"
	}
	f.refusesKeys(t, "plain", "default", refusal)
	f.admits(t, "telco", "default", annotation)
	for way, err := range f.annotate(t, "plain", "default", "new") {
		isRefused(t, way, err, refusal(annotation))
	}
	for way, err := range f.annotate(t, "telco", "default", "new") {
		if err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	f.leavesOld(t, refusal(annotation))
	f.refusesDeployment(t, refusal(annotation))
	f.missesStaticPod(t)

	f.kubectl(t, "label", "namespace", "telco", "netdev.noderesource.dev/devices-")
	f.eventually(t, "refusal in a namespace that has lost its label", func() bool {
		return f.create("telco", "default", annotation) != nil
	})
	remove()
}

func (f *fixture) admitsServiceAccounts(t *testing.T) {
	remove := f.enforce(t, "serviceaccounts")
	refusal := func(account string) string {
		return "annotation " + annotation + ` is not allowed for service account "` + account + `": remove it, run the pod ` +
			"as a service account that may have devices, or ask the cluster's owner to list this one in the policy nri-netdev-serviceaccounts"
	}
	f.refusesKeys(t, "telco", "default", func(key string) string {
		return strings.Replace(refusal("telco/default"), annotation, key, 1)
	})
	isRefused(t, "the same name in another namespace", f.create("plain", "worker", annotation), refusal("plain/worker"))
	f.admits(t, "telco", "worker", annotation)

	const bound = "annotation " + annotation + " cannot be given to a pod by way of a Binding: give it to the pod itself"
	for way, err := range f.annotate(t, "telco", "default", "other") {
		if strings.Contains(way, "binding") {
			isRefused(t, way, err, bound)
		} else {
			isRefused(t, way, err, refusal("telco/default"))
		}
	}
	for way, err := range f.annotate(t, "telco", "worker", "worker") {
		if strings.Contains(way, "binding") {
			isRefused(t, way, err, bound)
		} else if err != nil {
			t.Errorf("%s: %v", way, err)
		}
	}
	f.leavesOld(t, refusal("plain/default"))
	remove()
}

// refusesKeys goes through all annotations that the plugin reads. Others are no
// business of a policy.
func (f *fixture) refusesKeys(t *testing.T, namespace, account string, refusal func(key string) string) {
	t.Helper()
	keys := []string{
		annotation, "netdevices.noderesource.dev", "netdevice.noderesource.dev/pod", "netdevice.noderesource.dev",
		"netdevices.nri.containerd.io/pod", "netdevices.nri.containerd.io",
	}
	pods := ""
	for _, key := range keys {
		pods += idle(namespace, "asks", account, key)
	}
	out, err := f.Kubectl(pods, "create", "--dry-run=server", "-f", "-")
	for _, key := range keys {
		isRefused(t, key, err, refusal(key))
	}
	if strings.Contains(out, "created") {
		t.Errorf("one was not refused:\n%s", out)
	}
	f.admits(t, namespace, account)
	f.admits(t, namespace, account, "netdevices.noderesource.development/pod", "example.com/netdevices.noderesource.dev")
}

// leavesOld expects that pods which had the annotation before can still be updated, and
// that only what they ask for cannot.
func (f *fixture) leavesOld(t *testing.T, refusal string) {
	t.Helper()
	const pod = "old-patch"
	f.kubectl(t, "label", "pod", "-n", "plain", pod, "touched=yes")
	f.kubectl(t, "label", "pod", "-n", "plain", pod, "touched-")
	f.kubectl(t, "annotate", "pod", "-n", "plain", "--overwrite", pod, "example.com/touched=yes")
	f.kubectl(t, "patch", "pod", "-n", "plain", pod, "--subresource=status", "-p", `{"status": {"message": "touched"}}`)
	_, err := f.Kubectl("", "annotate", "pod", "-n", "plain", "--overwrite", pod, annotation+"=[{name: eth2}]")
	isRefused(t, "other devices", err, refusal)
	f.kubectl(t, "annotate", "pod", "-n", "plain", "--dry-run=server", pod, annotation+"-")
}

// The pods of a Deployment are made by a controller, and refused like others.
func (f *fixture) refusesDeployment(t *testing.T, refusal string) {
	t.Helper()
	f.apply(t, `apiVersion: apps/v1
kind: Deployment
metadata: {name: refused, namespace: plain}
spec:
  selector: {matchLabels: {app: test}}
  template:`+indent(template("eth2"), 4))
	f.eventually(t, "word of the Deployment", func() bool {
		return strings.Contains(f.kubectl(t, "get", "deployment", "-n", "plain", "refused", "-o", "jsonpath={.status.conditions}"),
			strings.ReplaceAll(refusal, `"`, `\"`))
	})
	f.kubectl(t, "delete", "deployment", "-n", "plain", "refused")
}

// The kubelet runs a static pod without asking anybody. A policy keeps the API server
// from knowing of it, no more.
func (f *fixture) missesStaticPod(t *testing.T) {
	t.Helper()
	path := f.Path("/run/kubernetes/manifests/static.yaml")
	write(t, path, "apiVersion: v1\nkind: Pod\n"+strings.Replace(strings.TrimSpace(template("eth1")), "metadata:", "metadata:\n  name: static\n  namespace: plain", 1))
	f.eventually(t, "static pod", func() bool {
		_, err := f.FindPod(t.Context(), "plain", "static-node")
		return err == nil
	})
	f.eventually(t, "refusal of its mirror", func() bool { return strings.Contains(f.Logs(), "Failed creating a mirror pod") })
	if out, err := f.Kubectl("", "get", "pod", "-n", "plain", "static-node"); err == nil {
		t.Errorf("the API server knows of the pod:\n%s", out)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
