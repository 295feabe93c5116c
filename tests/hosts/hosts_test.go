package hosts

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/document"
)

// The document's table of hosts is the tests'.
func TestDocument(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| host | uplink | backup | why |\n|---|---|---|---|\n")
	for _, h := range All(t) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", h.Name, devices(h.Uplink), devices(h.Backup), h.Why)
	}
	document.Section(t, "../../docs/hosts.md", "hosts: made by TestDocument", b.String())
}

func devices(words map[string]string) string {
	return cmp.Or(strings.Join(slices.Sorted(maps.Keys(words)), ", "), "-")
}
