package hosts

import (
	_ "embed" // of hosts.yaml
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/netmove"
)

//go:embed hosts.yaml
var file []byte

// Host is one of hosts.yaml.
type Host struct {
	Name     string            `json:"name"`
	Why      string            `json:"why"` // the devices of Uplink and Backup are what they are
	NICs     []string          `json:"nics"`
	Commands []string          `json:"commands"` // of ip(8)
	Uplink   map[string]string `json:"uplink"`   // Words of Role.Uplink by device
	Backup   map[string]string `json:"backup"`   // Words of Role.Backup by device
}

// All reads hosts.yaml.
func All(t testing.TB) []Host {
	t.Helper()
	var list []Host
	if err := yaml.UnmarshalStrict(file, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// Words are what hosts.yaml says of a device for which the route is this.
func Words(device string, u netmove.Uplink) string {
	switch {
	case u.Source.IsValid():
		return u.Source.String() + ": " + u.Route
	case u.Device != device && u.Device != "":
		return u.Device + ": " + u.Route
	}
	return u.Route
}

// Carriers are the devices of Uplink or Backup that carry the route themselves.
func (h Host) Carriers(words map[string]string) []string {
	var list []string
	for device, route := range words {
		if !strings.Contains(route, ": ") {
			list = append(list, device)
		}
	}
	slices.Sort(list)
	return list
}
