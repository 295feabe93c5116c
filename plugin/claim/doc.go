// Package claim has what the plugin and the DRA driver say to each other over the control
// socket: types alone. A claim is a Kubernetes ResourceClaim; the package knows of
// Kubernetes no more than its names. docs/control.md describes the verbs.
package claim
