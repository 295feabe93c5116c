package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/nri-netdev/nri-netdev/config"
)

// The shipped schema has every field that the plugin reads, and no other.
func TestSchema(t *testing.T) {
	text, err := os.ReadFile("../manifests/schemas/netdevice-v1alpha1.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties map[string]any }
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	got, want := slices.Sorted(maps.Keys(schema.Properties)), slices.Sorted(slices.Values(config.NetDeviceFields()))
	if !slices.Equal(got, want) {
		t.Errorf("the schema has\n%q\nthe code has\n%q", got, want)
	}
}
