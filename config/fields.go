package config

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// schema is what a mapping may hold.
type schema struct {
	known []string
	what  string // what an error calls a key; "" for "field"
}

// fields returns the known fields that are given, by name. ok is false if the value is no
// mapping.
func (v value) fields(s schema) (given map[string]value, ok bool) {
	if !v.is(aMapping) {
		return nil, false
	}
	given = make(map[string]value, len(v.node.Content)/2)
	v.eachField(func(name string, field value) {
		if !slices.Contains(s.known, name) {
			v.refuse("%s", unknown(cmp.Or(s.what, "field"), name, s.known))
			return
		}
		given[name] = field
	})
	return given, true
}

// eachField calls read for each field of a mapping, known or not.
func (v value) eachField(read func(name string, field value)) {
	if !v.is(aMapping) {
		return
	}
	seen := make(map[string]bool, len(v.node.Content)/2)
	for i := 0; i < len(v.node.Content) && !v.problems.full(); i += 2 {
		key, node := v.node.Content[i], v.node.Content[i+1]
		field := v.field(inPath(key.Value), node)
		switch {
		case key.Kind != yaml.ScalarNode:
			v.refuse("line %d: the name of a field must be a string", key.Line)
		case seen[key.Value]:
			field.refuse("given twice")
		default:
			seen[key.Value] = true
			read(key.Value, field)
		}
	}
}

// inPath returns the name of a field as a path shows it: in quotes if it is long or holds
// unusual characters.
func inPath(name string) string {
	if len(name) > maxQuoted || strings.Trim(name, alphanumeric+"._-/") != "" {
		return quote(name)
	}
	return name
}

// field returns the value of a field of v.
func (v value) field(name string, node *yaml.Node) value {
	if v.path != "" {
		name = v.path + "." + name
	}
	return value{node, name, v.problems}
}

// require adds a problem for each of the names that is not given.
func (v value) require(given map[string]value, names ...string) {
	for _, name := range names {
		if !given[name].given() {
			v.field(name, nil).refuse("required")
		}
	}
}

// word returns a string that is one of the known names.
func (v value) word(what string, known []string) (word string, ok bool) {
	word, ok = v.text()
	if ok && !slices.Contains(known, word) {
		v.refuse("%s", unknown(what, word, known))
		return "", false
	}
	return word, ok
}
