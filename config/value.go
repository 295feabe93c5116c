package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// value is a place in a document and what is written there. Its methods return what is
// expected there, or add a problem. An absent value is no problem, so optional fields
// need no special case.
type value struct {
	node     *yaml.Node // nil: absent
	path     string
	problems *Problems
}

// kind is what a node holds, as an error calls it.
type kind string

const (
	aList    kind = "a list"
	aMapping kind = "a mapping"
	aString  kind = "a string"
	aNumber  kind = "a number"
	aBoolean kind = "a boolean"
	aDate    kind = "a date"
	isNull   kind = "null"
)

func (v value) given() bool { return v.node != nil }

func (v value) refuse(format string, args ...any) {
	v.problems.add(v.path, fmt.Sprintf(format, args...))
}

// is reports whether the value is given and of the kind that is wanted.
func (v value) is(want kind) bool {
	if !v.given() {
		return false
	}
	switch got := kindOf(v.node); {
	case got == want:
		return true
	case got == isNull:
		v.refuse("null is not allowed: write %s, or leave it out", want)
	case want == aString && v.node.Kind == yaml.ScalarNode:
		v.refuse("want a string: YAML reads %s as %s, unless it is in quotes", quote(v.node.Value), got)
	default:
		v.refuse("want %s, not %s", want, got)
	}
	return false
}

// text returns a string on one line.
func (v value) text() (text string, ok bool) {
	if !v.is(aString) {
		return "", false
	}
	if strings.ContainsFunc(v.node.Value, unicode.IsControl) {
		v.refuse("%s holds a line break or another control character", quote(v.node.Value))
		return "", false
	}
	return v.node.Value, true
}

// each reads the items of a list and leaves out those for which read is not ok. It
// returns nil only if v is not a list. It stops when the list of problems is full.
func each[T any](v value, read func(item value) (T, bool)) []T {
	if !v.is(aList) {
		return nil
	}
	all := make([]T, 0, len(v.node.Content))
	for i, node := range v.node.Content {
		if v.problems.full() {
			break
		}
		if x, ok := read(value{node, v.path + "[" + strconv.Itoa(i) + "]", v.problems}); ok {
			all = append(all, x)
		}
	}
	return all
}

// atMost returns v, or refuses it and returns an absent value if v is a list of more
// than n items.
func (v value) atMost(n int) value {
	if v.given() && kindOf(v.node) == aList && len(v.node.Content) > n {
		v.refuse("more than %d", n)
		return value{path: v.path, problems: v.problems}
	}
	return v
}

// some reads a list like each, and refuses an empty list.
func some[T any](v value, read func(item value) (T, bool)) []T {
	all := each(v, read)
	if v.given() && len(v.node.Content) == 0 && all != nil {
		v.refuse("an empty list matches nothing: leave it out, or list something")
	}
	return all
}

// oneOf returns a string that is one of words.
func (v value) oneOf(words ...string) (word string, ok bool) {
	word, ok = v.text()
	if ok && !slices.Contains(words, word) {
		v.refuse("want \"%s\", not %s", strings.Join(words, `" or "`), quote(word))
		return "", false
	}
	return word, ok
}

// integer returns a number from low to high. Only plain decimal is allowed: programs
// differ in how they read 010, 0x10, 1_000 and 1e3.
func (v value) integer(low, high int) (n int, ok bool) {
	if !v.is(aNumber) {
		return 0, false
	}
	n, err := strconv.Atoi(v.node.Value)
	switch {
	case err != nil || strconv.Itoa(n) != v.node.Value:
		v.refuse("want a whole number in plain decimal, not %s", shorten(v.node.Value, maxQuoted))
	default:
		return v.within(n, low, high)
	}
	return 0, false
}

func (v value) within(n, low, high int) (int, bool) {
	if n < low || n > high {
		v.refuse("%d is not between %d and %d", n, low, high)
		return 0, false
	}
	return n, true
}

// quietText returns a string and adds no problem if there is none: another call that
// reads the same value adds it.
func (v value) quietText() (text string, ok bool) {
	if !v.given() || kindOf(v.node) != aString {
		return "", false
	}
	return v.node.Value, true
}

// boolean returns true or false, or absent if neither is written.
func (v value) boolean(absent bool) bool {
	if !v.is(aBoolean) {
		return absent
	}
	if text := v.node.Value; text != "true" && text != "false" {
		v.refuse("want true or false, not %s", text)
	}
	return v.node.Value == "true"
}

// choice returns true or false, or nil if neither is written.
func (v value) choice() *bool {
	if !v.given() {
		return nil
	}
	yes := v.boolean(false)
	return &yes
}

// kindOf returns the kind of n. A word is a string only if it is one both in YAML 1.2,
// which this parser reads, and in YAML 1.1, which kubectl reads: a pod must mean the same
// to every program.
func kindOf(n *yaml.Node) kind {
	switch n.Kind {
	case yaml.SequenceNode:
		return aList
	case yaml.MappingNode:
		return aMapping
	}
	switch n.ShortTag() {
	case "!!null":
		return isNull
	case "!!bool":
		return aBoolean
	case "!!int", "!!float":
		return aNumber
	case "!!timestamp":
		return aDate
	}
	if n.Style == 0 && isBoolean11(n.Value) {
		return aBoolean
	}
	return aString
}

// isBoolean11 reports whether word is a boolean in YAML 1.1 only.
func isBoolean11(word string) bool {
	switch word {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON",
		"n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return true
	}
	return false
}
