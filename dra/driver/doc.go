// Package driver stands between Kubernetes and the plugin of its node: it publishes the
// plugin's inventory as resource slices, asks the plugin to prepare the claims that the
// kubelet names, and writes into claims what has become of their devices.
//
// It keeps nothing. The plugin's journal has the reservations and Kubernetes the claims: two
// drivers may run at a time, and one that is killed has lost nothing.
package driver
