package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/nri-netdev/nri-netdev/config"
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
	for _, file := range []string{"manifests/examples/config.yaml", "manifests/examples/pod.yaml"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(data)
	}
	if len(texts) != 4 {
		t.Errorf("%d texts, want two files and two in the README", len(texts))
	}
	for name, text := range texts {
		checkYAML(t, name, text)
	}
}

func checkYAML(t *testing.T, name, text string) {
	t.Helper()
	var p pod
	if err := yaml.Unmarshal([]byte(text), &p); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	switch p.Kind {
	case config.Kind:
		if c, err := config.Parse([]byte(text)); err != nil || len(c.Allow) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	case "Pod":
		if requests, err := config.ParseAnnotations(p.annotations()); err != nil || len(requests) == 0 {
			t.Errorf("%s: asks for %d devices, %v", name, len(requests), err)
		}
	default:
		t.Errorf("%s: kind %q", name, p.Kind)
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

// fieldsOf lists the JSON names of a type's fields, with those of structs and
// of lists of structs below them.
func fieldsOf(typ reflect.Type, prefix string) []string {
	var names []string
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type.Kind() == reflect.Struct:
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
