package config

import (
	"fmt"

	"github.com/nri-netdev/nri-netdev/netmove"
)

// Annotations that ask for devices. A pod may have any of them, and several
// only with equal values.
const (
	Annotation     = "netdevices.noderesource.dev/pod"
	AnnotationBare = "netdevices.noderesource.dev"

	// Of pods written for the NRI project's sample plugin.
	AnnotationSample     = "netdevice.noderesource.dev/pod"
	AnnotationSampleBare = "netdevice.noderesource.dev"
	AnnotationNRI        = "netdevices.nri.containerd.io/pod"
	AnnotationNRIBare    = "netdevices.nri.containerd.io"
)

// annotationKeys returns the keys above, in the order of the search.
func annotationKeys() [6]string {
	return [...]string{
		Annotation, AnnotationBare,
		AnnotationSample, AnnotationSampleBare,
		AnnotationNRI, AnnotationNRIBare,
	}
}

const (
	maxAnnotation = 64 << 10 // bytes
	maxDevices    = 64       // of one pod, whatever the node's config says
)

// Asks reports whether one of our annotations is there, even an empty one. It
// allocates nothing, since it is called for every pod.
func Asks(annotations map[string]string) bool {
	for _, key := range annotationKeys() {
		if _, ok := annotations[key]; ok {
			return true
		}
	}
	return false
}

// ParseAnnotations returns what a pod asks for, in the annotation's order, nil for
// nothing. The error is *Problems: all that is wrong, each with its path. Whether
// the pod may have the devices, AllowPod and AllowDevice decide.
func ParseAnnotations(annotations map[string]string) ([]netmove.Request, error) {
	key, text, err := findAnnotation(annotations)
	if err != nil {
		return nil, err
	}
	root := decode(key, text, maxAnnotation)
	if root.given() && kindOf(root.node) == aList && len(root.node.Content) > maxDevices {
		root.refuse("more than %d devices", maxDevices)
		return nil, root.problems
	}
	taken := newTaken()
	requests := each(root, func(item value) (netmove.Request, bool) { return parseRequest(item, taken) })
	if err := root.problems.err(); err != nil || len(requests) == 0 {
		return nil, err
	}
	return requests, nil
}

// findAnnotation returns the first key that is there and its value.
func findAnnotation(annotations map[string]string) (key, text string, err error) {
	for _, k := range annotationKeys() {
		value, ok := annotations[k]
		switch {
		case !ok:
		case key == "":
			key, text = k, value
		case value != text:
			problem := fmt.Sprintf("differs from the annotation %s: keep one of them", key)
			return "", "", &Problems{list: []*Problem{{Path: k, Text: problem}}}
		}
	}
	return key, text, nil
}
