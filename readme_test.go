package main

import (
	"encoding"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/config/workload"
	"github.com/nri-netdev/nri-netdev/netmove"
)

// Every YAML text that is shown to people is read by the code it is for.
func TestShownYAML(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		texts["README: "+m[1][:30]] = m[1]
	}
	files, err := filepath.Glob("manifests/examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(data)
	}
	if len(texts) != len(files)+2 || len(files) < 10 {
		t.Errorf("%d texts, %d of them files: want two in the README", len(texts), len(files))
	}
	for name, text := range texts {
		checkYAML(t, name, text)
	}
}

func checkYAML(t *testing.T, name, text string) {
	t.Helper()
	all, err := workload.Read([]byte(text))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %d objects, %v", name, len(all), err)
	}
	switch w := all[0]; w.Kind {
	case config.Kind:
		if c, err := config.Parse([]byte(text)); err != nil || len(c.Allow) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	case "Pod":
		if requests, err := config.ParseAnnotations(w.Annotations); err != nil || len(requests) == 0 {
			t.Errorf("%s: asks for %d devices, %v", name, len(requests), err)
		}
	default:
		t.Errorf("%s: kind %q", name, w.Kind)
	}
}

// The reference of the node config has every field of the code, and no other.
func TestConfigReference(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## The node config")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for line := range strings.Lines(section) {
		if first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| `") {
			for _, m := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(first, -1) {
				documented = append(documented, m[1])
			}
		}
	}
	want := append([]string{"apiVersion", "kind"}, fieldsOf(reflect.TypeFor[config.NodeConfig](), "")...)
	slices.Sort(documented)
	slices.Sort(want)
	if !slices.Equal(documented, want) {
		t.Errorf("documented are\n%q\nthe code has\n%q", documented, want)
	}
}

// Each kind of loss is documented, where the README says so.
func TestLossReference(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/fidelity.md")
	if err != nil {
		t.Fatal(err)
	}
	_, row, _ := strings.Cut(string(readme), "| `allow[].acceptLoss` |")
	row, _, _ = strings.Cut(row, "\n")
	_, words, _ := strings.Cut(row, "docs/fidelity.md#losses):")
	_, table, _ := strings.Cut(string(doc), "\n## Losses\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var want []string
	for _, kind := range netmove.LossKinds() {
		want = append(want, string(kind))
	}
	for place, found := range map[string][][]string{
		"README.md":        regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(words, -1),
		"docs/fidelity.md": regexp.MustCompile("(?m)^\\| `(.*?)` \\|").FindAllStringSubmatch(table, -1),
	} {
		var documented []string
		for _, m := range found {
			documented = append(documented, m[1])
		}
		if !slices.Equal(documented, want) {
			t.Errorf("%s has %q, the code %q", place, documented, want)
		}
	}
}

// The reference of the annotation has every field of the code, and no other, with the
// settings that a rule allows by default.
func TestAnnotationReference(t *testing.T) {
	doc, err := os.ReadFile("docs/annotation.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	section, prefix := "", ""
	for line := range strings.Lines(string(doc)) {
		if title, ok := strings.CutPrefix(line, "##"); ok {
			section = strings.Trim(title, "# \n")
			prefix = map[string]string{"Routes": "routes[].", "Rules": "rules[].", "Neighbors": "neighbors[]."}[section]
		}
		first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		if !ok || !strings.HasPrefix(line, "| `") || strings.HasPrefix(section, "What does not") || strings.HasPrefix(section, "What kernels") {
			continue
		}
		for _, m := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(first, -1) {
			documented = append(documented, prefix+m[1])
		}
	}
	want := slices.Concat(
		config.RequestFields(), fieldsOf(reflect.TypeFor[netmove.Match](), "match."),
		fieldsOf(reflect.TypeFor[netmove.RouteRequest](), "routes[]."), fieldsOf(reflect.TypeFor[netmove.RuleRequest](), "rules[]."),
		fieldsOf(reflect.TypeFor[netmove.NeighborRequest](), "neighbors[]."), []string{"ethtool.features"},
	)
	documented = slices.DeleteFunc(documented, func(name string) bool { return strings.HasPrefix(name, "ipv") })
	slices.Sort(documented)
	slices.Sort(want)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("fields (-code +documented):\n%s", diff)
	}
	if table := sysctlTable(); !strings.Contains(string(doc), table) {
		t.Errorf("the table of sysctls is not\n%s", table)
	}
}

// sysctlTable lists the sysctls by the values that they take.
func sysctlTable() string {
	var rows []string
	names := map[string][]string{}
	for _, s := range config.Sysctls() {
		values := fmt.Sprintf("%d to %d", s.Low, s.High)
		if names[values] == nil {
			rows = append(rows, values)
		}
		names[values] = append(names[values], "`"+s.Name+"`")
	}
	var b strings.Builder
	b.WriteString("| sysctl | values |\n|---|---|\n")
	for _, values := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names[values], ", "), values)
	}
	return b.String()
}

// fieldsOf lists the JSON names of a type's fields, with those of structs and
// of lists of structs below them.
func fieldsOf(typ reflect.Type, prefix string) []string {
	var names []string
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Type.Kind() == reflect.Struct && !f.Type.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
			names = append(names, fieldsOf(f.Type, prefix+name+".")...)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			names = append(names, prefix+name)
			names = append(names, fieldsOf(f.Type.Elem(), prefix+name+"[].")...)
		default:
			names = append(names, prefix+name)
		}
	}
	return names
}
