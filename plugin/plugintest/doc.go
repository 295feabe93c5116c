// Package plugintest has what tests of the plugin share: a log that is recorded, a wait for
// what will hold, and a node config.
package plugintest

// AllowAll is a node config that gives the devices eth* to pods of namespace default.
const AllowAll = `
apiVersion: netdev.noderesource.dev/v1alpha1
kind: NodeConfig
allow:
- devices: ["eth*"]
  namespaces: ["default"]
`
