// Package slice makes of the plugin's inventory what Kubernetes' scheduler reads: devices
// with attributes and taints, in resource slices. It asks nobody.
package slice
