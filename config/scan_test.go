package config

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// bombs are texts that would cost a parser much, or mislead it. The scan
// refuses each of them, so that the parser sees none.
func bombs() map[string]string {
	nested := func(open string) string { return strings.Repeat(open, 30000/len(open)) }
	return map[string]string{
		"200 KB":             "- name: eth1 #" + strings.Repeat("x", 200<<10),
		"30000 brackets":     strings.Repeat("[", 30000),
		"30000 dashes":       strings.Repeat("- ", 30000),
		"braces":             nested("{a: "),
		"braces, quoted":     nested(`{"a]}": `),
		"brackets, closed":   nested(`["]", `),
		"brackets, comment":  nested("[ # ]\n"),
		"brackets, 'comment": "it's: " + nested("[ # '\n"),
		"question marks":     nested("? "),
		"colons":             nested(": "),
		"dashes, CRLF":       "\r\n" + nested("- "),
		"indentation":        stairs(200),
		"indentation, mixed": "a:\n" + strings.Repeat(" ", 32) + nested("- ? : "),
		"in a block scalar":  "a: |\n b\n" + nested("- "),
		"NUL":                "- name: eth1\x00",
		"escape":             "- name: \"\x1b[1m\"",
		"not UTF-8":          "- name: \xff",
		"half a character":   "- name: \xe6\xbc",
		"surrogate":          "- name: \xed\xa0\x80",
		"byte order mark":    "\ufeff- name: eth1",
		"UTF-16":             "-\x00 \x00n\x00",
		"NEL":                "#\u0085- name: eth1",
		"line separator":     "#\u2028- name: eth1",
		"lone CR":            "# \r- name: eth1",
		"CR at the end":      "[]\r",
	}
}

// stairs is a mapping nested depth deep by indentation alone.
func stairs(depth int) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, "%*sa:\n", i, "")
	}
	return b.String()
}

func TestScanRefusesBombs(t *testing.T) {
	for name, text := range bombs() {
		if err := scan(text, maxAnnotation); err == nil {
			t.Errorf("%s: not refused before the parser", name)
		}
	}
}

func TestScanProblems(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"too long", strings.Repeat("#", maxAnnotation+1), "65537 bytes long, at most 65536 are allowed"},
		{"not UTF-8", "[]\n\xff", "line 2: not UTF-8"},
		{"NUL", "\n\n\x00", "line 3: character U+0000 is not allowed"},
		{"lone CR", "a\rb", "line 1: character U+000D is not allowed"},
		{"byte order mark", "\ufeff[]", "line 1: character U+FEFF is not allowed"},
		{"brackets", strings.Repeat("[", maxBrackets) + "{", "nested too deeply: more than 2048 opening brackets"},
		{"indentation", strings.Repeat(" ", maxIndent+1), "nested too deeply: a line is indented by more than 64 columns"},
	} {
		t.Run(tc.name, func(t *testing.T) { wantProblems(t, tc.text, tc.want) })
	}
}

func TestScanAllows(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":               "",
		"as long as allowed":    strings.Repeat("#", maxAnnotation),
		"wide characters":       "# é漢𝕏\ufffd\n",
		"tabs and Windows ends": "#\ta\r\n\r\n",
		"a long comment":        "# " + strings.Repeat("- ", 1000),
		"deepest":               strings.Repeat(" ", maxIndent) + "a: " + strings.Repeat("[", maxBrackets),
		"64 devices in JSON":    "[" + strings.Repeat(`{"name":"a","addresses":["192.0.2.5/24"],"routes":[{"to":"a"},{"to":"b"}]},`, 64) + "]",
	} {
		if err := scan(text, maxAnnotation); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := strings.Repeat("- name: eth1\n", 100)
	if n := testing.AllocsPerRun(10, func() { _ = scan(text, maxAnnotation) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAliasBomb: aliases are nodes of their own to the reader, never copies of
// what they stand for, and refused as such.
func TestAliasBomb(t *testing.T) {
	_, err := parsePod(aliasBomb())
	if err == nil || !strings.HasPrefix(err.Error(), Annotation+": line 1: anchors") {
		t.Errorf("error %v", err)
	}
}

// aliasBomb is a list of 10^30 items.
func aliasBomb() string {
	var b strings.Builder
	b.WriteString("- &a0 [a, a, a, a, a, a, a, a, a, a]\n")
	for i := range 29 {
		fmt.Fprintf(&b, "- &a%d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return b.String()
}

// depth is the number of nodes above the deepest one, and it.
func depth(n *yaml.Node) int {
	deepest := 0
	for _, child := range n.Content {
		deepest = max(deepest, depth(child))
	}
	return 1 + deepest
}
