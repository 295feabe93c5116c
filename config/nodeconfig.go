package config

import (
	"fmt"
	"io"
	"os"
)

// What a file must say about itself.
const (
	APIVersion = "netdev.noderesource.dev/v1alpha1"
	Kind       = "NodeConfig"
)

// maxNodeConfig is what a ConfigMap can hold, in bytes.
const maxNodeConfig = 1 << 20

// NodeConfig is what the operator of a node allows. The zero value allows nothing; a
// file starts from Default.
type NodeConfig struct {
	// Allow lists the allow rules: a device moves only if one of them allows it.
	Allow []AllowRule `json:"allow,omitempty"`

	Pools []Pool `json:"pools,omitempty"`

	// Protect lists globs over names and altnames. The devices that they match never
	// move, and neither do devices that carry the node's default routes.
	Protect []string `json:"protect,omitempty"`

	// MaxDevicesPerPod is from 1 to 64.
	MaxDevicesPerPod int `json:"maxDevicesPerPod"`

	// RuntimeHandlers lists the handlers whose pods may have devices; "" is the runtime's
	// default handler.
	RuntimeHandlers []string `json:"runtimeHandlers"`

	FailurePolicy FailurePolicy `json:"failurePolicy"`

	OnReturn OnReturn `json:"onReturn"`

	// Problem says why the file is not valid, so that nothing is allowed. Only Invalid
	// sets it.
	Problem error `json:"-"`
}

// FailurePolicy is what the runtime does when it loses the plugin, for
// runtimes with NRI 0.12.5 or newer.
type FailurePolicy struct {
	// FailRequest fails the request that the runtime waits for; otherwise the runtime
	// goes on without the plugin's answer.
	FailRequest bool `json:"failRequest"`

	// KeepConnected keeps a plugin that did not answer in time. It counts only
	// with FailRequest.
	KeepConnected bool `json:"keepConnected"`
}

// OnReturn is how a device is left on the host when its pod ends.
type OnReturn string

// All values of OnReturn.
const (
	Restore OnReturn = "restore" // as it was before
	Down    OnReturn = "down"    // its name back, left down, without addresses
)

// Default returns the config of a node without a file: it allows nothing.
func Default() *NodeConfig {
	return &NodeConfig{
		MaxDevicesPerPod: 16,
		RuntimeHandlers:  []string{"", "runc"},
		FailurePolicy:    FailurePolicy{FailRequest: true},
		OnReturn:         Restore,
	}
}

// Invalid returns the config of a node whose file is not valid: it allows nothing, and
// every refusal names the reason. Devices that are away come home as with Default.
func Invalid(reason error) *NodeConfig {
	c := Default()
	c.Problem = reason
	return c
}

// Load reads a file. The error is fs.ErrNotExist if there is none, and
// *Problems if it is not valid.
func Load(path string) (*NodeConfig, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseFile(path, text)
}

func parseFile(path string, text []byte) (*NodeConfig, error) {
	c, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// readFile reads a file, but not more of it than Parse needs to find it too large.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	return io.ReadAll(io.LimitReader(file, maxNodeConfig+1))
}

// Parse reads a config. Absent fields are as in Default. The error is *Problems: all
// that is wrong, each with its path.
func Parse(data []byte) (*NodeConfig, error) {
	root := decode("", string(data), maxNodeConfig)
	if !root.given() && root.problems.err() == nil {
		root.refuse("empty: want apiVersion: %s and kind: %s", APIVersion, Kind)
	}
	c := Default()
	c.parse(root)
	if err := root.problems.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *NodeConfig) parse(root value) {
	given, ok := root.fields(schema{
		known: []string{
			"apiVersion", "kind", "allow", "pools", "protect", "maxDevicesPerPod",
			"runtimeHandlers", "failurePolicy", "onReturn",
		},
	})
	if !ok {
		return
	}
	root.require(given, "apiVersion", "kind")
	given["apiVersion"].oneOf(APIVersion)
	given["kind"].oneOf(Kind)
	c.Allow = each(given["allow"], parseAllowRule)
	c.Pools = parsePools(given["pools"])
	c.Protect = each(given["protect"], parseGlob)
	if n, ok := given["maxDevicesPerPod"].integer(1, maxDevices); ok {
		c.MaxDevicesPerPod = n
	}
	if handlers := given["runtimeHandlers"]; handlers.given() {
		c.RuntimeHandlers = some(handlers, value.text)
	}
	c.FailurePolicy.parse(given["failurePolicy"])
	if text, ok := given["onReturn"].oneOf(string(Restore), string(Down)); ok {
		c.OnReturn = OnReturn(text)
	}
}

func (p *FailurePolicy) parse(v value) {
	given, _ := v.fields(schema{known: []string{"failRequest", "keepConnected"}})
	p.FailRequest = given["failRequest"].boolean(p.FailRequest)
	p.KeepConnected = given["keepConnected"].boolean(p.KeepConnected)
}
