package kernel

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nri-netdev/nri-netdev/tests/document"
)

// The document's table of kinds is the program's.
func TestFidelityDocument(t *testing.T) {
	t.Parallel()
	document.Section(t, "../../docs/fidelity.md", "kinds: made by TestFidelityDocument", kindsDocument())
}

// kindsDocument is the table of kinds for people.
func kindsDocument() string {
	var b strings.Builder
	b.WriteString("| kind | what of it is put back, besides what all devices have | what stays as a pod left it | refused, unless the loss `kind` is accepted |\n|---|---|---|---|\n")
	var bound []string
	for _, k := range kinds() {
		if k.bound {
			bound = append(bound, k.name)
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", k.title(), cmp.Or(k.putBack(), "-"), cmp.Or(k.left, "-"), cmp.Or(k.refused(), "-"))
	}
	fmt.Fprintf(&b, "\nThe kernel binds these to their namespace, so they never move: %s. The state of any other kind is not known.\n", strings.Join(bound, ", "))
	return b.String()
}

func (k kind) title() string {
	master, port := strings.CutSuffix(k.name, slaveSuffix)
	switch {
	case port:
		return "port of a " + master
	case k.name == "":
		return "hardware"
	}
	return k.name
}

// putBack names the options that can be set, and what else is put back.
func (k kind) putBack() string {
	var names []string
	for _, o := range k.rows() {
		if !strings.HasPrefix(k.also, everyOption) && (o.use == settable || o.use == list) && o.name != "" && !slices.Contains(names, o.name) {
			names = append(names, o.name)
		}
	}
	if k.carrier {
		names = append(names, carrierOption)
	}
	if k.also != "" {
		names = append(names, k.also)
	}
	return strings.Join(names, ", ")
}

func (k kind) refused() string {
	if k.unread == "" && k.unreadIf != nil {
		return "some, by their settings"
	}
	return k.unread
}
