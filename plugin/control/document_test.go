package control

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nri-netdev/nri-netdev/config"
	"github.com/nri-netdev/nri-netdev/plugin/claim"
	"github.com/nri-netdev/nri-netdev/plugin/sandbox"
)

// types are those that docs/control.md describes, each in a section of its name.
func types() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[claim.Inventory](), reflect.TypeFor[claim.Device](),
		reflect.TypeFor[claim.Claim](), reflect.TypeFor[claim.Pod](), reflect.TypeFor[claim.Request](),
		reflect.TypeFor[claim.Prepared](), reflect.TypeFor[claim.PreparedDevice](), reflect.TypeFor[claim.Unprepare](),
		reflect.TypeFor[claim.Statuses](), reflect.TypeFor[claim.Status](), reflect.TypeFor[claim.DeviceStatus](),
	}
}

// The document has every field of every type, in their order, and no other type.
func TestDocument(t *testing.T) {
	data, err := os.ReadFile("../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(text, -1) {
		sections = append(sections, m[1])
	}
	var want []string
	for _, typ := range types() {
		want = append(want, typ.Name())
		_, section, _ := strings.Cut(text, "\n## "+typ.Name()+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if diff := cmp.Diff(fieldsOf(typ), documented(section)); diff != "" {
			t.Errorf("%s (-code +docs/control.md):\n%s", typ.Name(), diff)
		}
	}
	if diff := cmp.Diff(want, sections); diff != "" {
		t.Errorf("types (-code +docs/control.md):\n%s", diff)
	}
	for _, state := range claim.States() {
		if !strings.Contains(text, "`"+string(state)+"`") {
			t.Errorf("state %q is not described", state)
		}
	}
	for _, words := range []string{sandbox.CDIKind, config.APIVersion, config.NetDeviceKind} {
		if !strings.Contains(text, words) {
			t.Errorf("%q is not there", words)
		}
	}
}

// Each type that a type of the document has as a field is there, too.
func TestDocumentIsWhole(t *testing.T) {
	for _, typ := range types() {
		for field := range typ.Fields() {
			of := field.Type
			if of.Kind() == reflect.Slice {
				of = of.Elem()
			}
			if of.Kind() == reflect.Struct && !slices.Contains(types(), of) {
				t.Errorf("%s.%s is a %s", typ.Name(), field.Name, of)
			}
		}
	}
}

// fieldsOf lists the fields of a type as JSON names them.
func fieldsOf(typ reflect.Type) (names []string) {
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// documented lists the names in the first column of a section's table.
func documented(section string) (names []string) {
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(section, -1) {
		for _, m := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(row[1], -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// Every verb of the handler for drivers is in the document.
func TestDocumentVerbs(t *testing.T) {
	data, err := os.ReadFile("../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("handler.go")
	if err != nil {
		t.Fatal(err)
	}
	verbs := regexp.MustCompile(`HandleFunc\("(\w+ /(inventory|claims)[^"]*)"`).FindAllStringSubmatch(string(code), -1)
	for _, m := range verbs {
		if !strings.Contains(string(data), "| `"+m[1]) {
			t.Errorf("%s is not described", m[1])
		}
	}
	if len(verbs) != 4 {
		t.Errorf("%d verbs are found", len(verbs))
	}
}
