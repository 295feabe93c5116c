package plugin

import (
	"github.com/containerd/nri/pkg/api"

	"github.com/nri-netdev/nri-netdev/netmove/journal"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// sandboxOf returns the sandbox that the runtime describes.
func sandboxOf(pod *api.PodSandbox) sandbox.Sandbox {
	return sandbox.Sandbox{
		ID:        pod.GetId(),
		Pod:       journal.Pod{Namespace: pod.GetNamespace(), Name: pod.GetName(), UID: pod.GetUid()},
		NetnsPath: netnsPath(pod),
		Pause:     int(pod.GetPid()),
		Handler:   pod.GetRuntimeHandler(),
	}
}

// netnsPath returns the path of the pod's network namespace, "" if the runtime names none.
func netnsPath(pod *api.PodSandbox) string {
	for _, ns := range pod.GetLinux().GetNamespaces() {
		if ns.GetType() == "network" {
			return ns.GetPath()
		}
	}
	return ""
}
